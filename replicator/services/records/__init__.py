"""Small files in which a process leaves notes for the next one, beside a target.

Called by the rooms above: which applier owns the target, which release its Druid runs, since when
bytes are missed, and how drills ended. The history of a log is in `store`.
"""
