"""The verbs that bring a target, or a part of it, to an earlier cut.

One file a verb; `when` reads which moment an operator means.
"""
