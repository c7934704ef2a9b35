"""The verbs of the panel 'Set up' in `replicator --help`.

One file a verb, and `interview` with the questions of `init`.
"""
