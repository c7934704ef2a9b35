"""Makes the services of one target, of its settings and its adapters.

Called by `Application` and by what a single verb needs; tests, the simulation and benchmarks pass
their own adapters to the same `Pipeline` and `Retention`.
"""
