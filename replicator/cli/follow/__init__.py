"""The verbs that keep targets up to date, and those that make one of them the primary.

`run` contains `watch` and `apply`, `promote` contains `failover`, and `beside` has the services
that run in one process with the pipeline.
"""
