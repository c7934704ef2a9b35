"""Answers questions about a log's past and changes nothing: events, blame, differences.

Called by `app` for the verbs that show something, and by the page. *Blame* names the cuts that
changed something, and the users that asked for it; an *undeletion* finds what was dropped.
"""
