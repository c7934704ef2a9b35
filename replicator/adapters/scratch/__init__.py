"""Servers that are started for a drill or the demo, and end with this process.

Called by `app` and by `cli.demo`. Each gets a private folder and a minimal environment.
"""
