"""Decisions before anything is done: the chosen cut, what is written and deleted, and the price.

Used by restores and appliers. A *plan* is a value: it is shown, priced and compared before it is
carried out.
"""
