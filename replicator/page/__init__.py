"""The page: one look at everything, the timeline, and the files that a browser shows it with.

`control` mounts it and decides who may look. Requests are answered from the last look: none
reaches the source, the targets or more of the log than it lists. Words: a *look* reads what is new;
*notes* are a target's store's own documents; a *column* represents the cuts of a stretch of
time.
"""
