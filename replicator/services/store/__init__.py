"""What a target keeps beside its bytes: the log again, in files, and notes about itself.

Called by every room but `target`, which never looks here, as this room never touches a target's
rows. A *base* is the state at one cut, *history* the events between; a *window* is a stretch of
cuts that can be restored, a *lease* keeps what a restore reads from expiring meanwhile. One `Store`
is one area, read through one cache.
"""
