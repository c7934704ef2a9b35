"""The event log in one SQLite file: for one machine, and to begin with."""
