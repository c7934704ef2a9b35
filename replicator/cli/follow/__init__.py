"""The verbs that keep targets up to date, and those that make one of them the primary.

One file a verb; `run` has `watch` and `apply`, `promote` has `failover`, and `beside` is what runs
in the same process as the pipeline.
"""
