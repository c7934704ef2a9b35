"""The verbs of the panel 'Set up' in `replicator --help`, and the `interview` of `init`."""
