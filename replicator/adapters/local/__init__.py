"""A deep storage and an area in directories, written so that they survive a crash.

The *workspace* is the folder `.replicator` of a storage: receipts and files under way. The *area*
is `_replicator`, what a target keeps of itself. A *leaf* is the last name of a path, in its open
folder: nothing here takes a path below a root.
"""
