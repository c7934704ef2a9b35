"""The parts of an `Application`: each is made of the configuration, and knows only what it needs.

Called by `Application` and, through it, by the verbs. `ConfiguredSource` and `ConfiguredTargets`
are the two ends, `RecordedLog` is the log between them; `Processes` hears of who works on them,
`Standbys` are the targets' Druids, and `Replication` makes what follows the source. None of them
knows the `Application`.
"""
