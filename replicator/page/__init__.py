"""The page: one look at everything, the timeline, and the files that a browser shows it with.

`control` mounts it and says who may look. A request is answered from what was seen last: none
reaches the source, the targets or more of the log than it lists. Words: a *look* reads what is new;
*notes* are what a target's store says of itself; a *column* stands for the cuts of a stretch of
time.
"""
