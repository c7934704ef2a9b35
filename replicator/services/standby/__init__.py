"""The life of a standby as a cluster: its tables are created, and one day it is promoted.

Called by `target create`, `promote` and `failover`. A promotion *fences* the applier, *starts* the
supervisors, *awaits* their offsets, and can be interrupted anywhere.
"""
