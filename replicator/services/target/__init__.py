"""Rows and bytes of a target: what they are, what they should be, and making them so.

Called by replication, restore, verification and standby. The *copier* moves bytes, the *executor*
writes rows and checkpoint in one transaction, the *reconciler* compares a target with a cut.
"""
