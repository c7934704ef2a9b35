"""Answers questions and changes nothing: status, blame, differences, checks, what to undelete.

Called by `app` for the verbs that show something. *Blame* says which cut changed what, and who.
"""
