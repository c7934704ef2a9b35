"""Answers questions and changes nothing: status, blame, differences, checks, what to undelete.

Called by `app` for the verbs that show something. *Blame* names the cuts that changed something,
and the users that asked for it.
"""
