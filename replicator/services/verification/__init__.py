"""Proves that a target is at its cut: rows, objects, checksums, and the answers of both Brokers.

Called by `verify`, `repair` and by drills. A *proof* is a recorded result, kept for `status`; a
repair copies again what a verification found damaged.
"""
