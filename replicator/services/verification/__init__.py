"""Proves that a target is at its cut: rows, objects, checksums, the answers of both Brokers.

Called by `verify` and `repair`, and by drills. A *proof* is what was found, kept for `status`;
repair copies again what a proof found wrong.
"""
