"""Decides what of a store is still needed, deletes the rest, and extends object locks.

Called by `expire`, `lock`, `hold` and `points`. A *hold* keeps one cut, a *horizon* is the oldest
cut that can be restored, an *intent* announces a deletion before it begins. An *orphan* is an
object that no event speaks of.
"""
