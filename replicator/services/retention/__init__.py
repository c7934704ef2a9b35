"""Decides what of a store is still needed, deletes the rest, and extends object locks.

Called by `expire`, `lock`, `hold` and `points`. A *hold* keeps one cut; the *horizon* is the oldest
cut that can be restored without a hold; an *intent* announces a deletion before it starts. An
*orphan* is an object that no event references.
"""
