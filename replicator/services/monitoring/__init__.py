"""Says how far each target is, what runs, which promises are broken, and what to do.

Called by `app` for `status`, and by the rooms that repeat the look: metrics, notifications, page.
*Life* is which processes run; a *trouble* is one thing that is wrong, with the next command.
"""
