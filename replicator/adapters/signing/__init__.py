"""Signed files of a store: Ed25519 keys, and an `Area` that signs what is written and checks reads.

Called by the composition root alone. Every reader and writer of a store's files goes through
`SignedArea`, also where nothing is signed: a store that another machine signs is read all the same.
"""
