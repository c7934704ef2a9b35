"""A deep storage and an area in directories, written so that they survive a crash.

The *workspace* is the folder `.replicator` of a storage: receipts and files under way. The *area*
is `_replicator`, what a target keeps of itself.
"""
