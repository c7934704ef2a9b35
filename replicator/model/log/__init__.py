"""The records of a log: their encoding, and how they become a target's rows.

Used by everything that reads or writes a log. To *peek* is to read fields of an encoded event
without decoding it; a *row mapping* makes a source's row a target's.
"""
