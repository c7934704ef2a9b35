"""Small files beside a target that a process leaves for the next one.

Called by the rooms above: which applier owns the target, which release its Druid runs, since when
bytes are missed, and how drills ended. The history of a log is in `store`.
"""
