"""Tries beforehand everything that a start will need, and reports each result.

Called by `app` for `check` and `init`. A *finding* is the result of one trial; a *copy trial*
copies an object of several parts to a target, as a segment would be, and removes it.
"""
