"""The verbs that bring a target, or a part of it, to an earlier cut; one file for each.

`when` finds the moment that an operator means.
"""
