"""Signed files of a store: Ed25519 keys, and an `Area` that signs writes and checks reads.

Called only by the composition root. Every reader and writer of a store's files goes through
`SignedArea`, also where nothing is signed: a store that another machine signs can still be read.
"""
