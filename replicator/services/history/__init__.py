"""Reads a log: which cuts it has, what is in a cut, and which rows a cut consists of.

Called by every room above. A *cut* is a state that the source had (a consistent cut); it is
*closed* by the event that carries its digest. Events of an attempt that was never closed do not
count (`attempts.py`).
"""
