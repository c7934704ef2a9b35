"""What will be done: which cut is meant, what is written and deleted, at which price.

Used by restores and appliers. A *plan* is a value: it is shown, priced and compared before it is
carried out.
"""
