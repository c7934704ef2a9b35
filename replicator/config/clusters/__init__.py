"""Settings of the source and of each target: metadata store, deep storage, Druid, keys, drills.

Read by `app`, which makes adapters of them.
"""
