"""Rows and bytes of a target: reads them, compares them with a cut, and writes them.

Called by replication, restore, verification and standby. The *copier* moves bytes, the *executor*
writes rows and checkpoint in one transaction, the *reconciler* compares a target with a cut.
"""
