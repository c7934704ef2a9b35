"""What a target keeps beside its bytes: the log's records in files, and notes about the target.

Called by every room but `target`, which never uses this one, as this room never touches a target's
rows. A *base* is the state at one cut, *history* the events between cuts; a *window* is a range of
cuts that can be restored; a *lease* keeps what a restore reads from expiring meanwhile. One `Store`
is one area, read through one cache.
"""
