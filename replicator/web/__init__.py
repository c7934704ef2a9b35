"""Over HTTP: metrics, health and status, for those who monitor a running replicator.

The *panorama* (`panorama.py`) keeps what was seen last of the log, the targets and their stores:
the rooms above answer from it, so that no request reaches any of them.
"""
