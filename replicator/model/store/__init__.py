"""The documents in a target's store, with their versions, and when a document is refused.

Used by the services that write and read them. A document that cannot be read is a
`CorruptionError`, never a default.
"""
