"""The event log in one SQLite file: for a single machine, and for a start."""
