"""Servers started for a drill or the demo; they end with this process.

Called by `app` and by `cli.demo`. Each server gets a private folder and a minimal environment.
"""
