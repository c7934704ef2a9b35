"""The documents in a target's store, each with its version, and when one is refused.

Used by the services that write and read them. A document that cannot be read is a
`CorruptionError`, never a default.
"""
