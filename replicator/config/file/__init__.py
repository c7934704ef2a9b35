"""The configuration as a file: how it is read, explained and first written.

Called by `cli`. A *key* is the dotted path of one setting; the *origin* of a value is the file,
variable or option that it came from.
"""
