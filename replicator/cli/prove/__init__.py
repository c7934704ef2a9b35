"""The verbs that prove and repair: `verify`, `repair`, `drill`; one file for each.

`verify_query` shows the answers of two Brokers.
"""
