"""Reads a log, wherever it lies: which cuts it has, what is in one, what was in force at one.

Called by every room above. A *cut* is a state that the source had; it is *closed* by the event that
has its digest; what is left of an attempt that was never closed does not count.
"""
