"""Proves that a store can be restored: into a scratch area, with time, bytes and answers.

Called by `app` and, for the schedule, by `run`. A *drill* is one such restore, its *evidence* the
record of it, a *trial* the part in which a scratch Druid loads and answers.
"""
