"""Runs verbs on schedule: each at its time, once, and on record.

Called by the rooms above, which say what a run is. Knows neither verbs nor jobs.
"""
