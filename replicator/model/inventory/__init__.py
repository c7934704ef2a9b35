"""Everything that a cluster's metadata holds at one cut, without its contents.

Used by whatever folds a log or compares one with a scan. A *ledger* is an inventory in columns; a
*comparison* holds one against a scan of a metadata store, as the scan goes on.
"""
