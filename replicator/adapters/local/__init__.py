"""A deep storage and an area in directories, written so that they survive a crash.

The *workspace* is the folder `.replicator` of a storage: receipts and unfinished files. The *area*
is `_replicator`, a target's own files. A *leaf* is the last name of a path, in its open folder:
nothing here takes a path below a root.
"""
