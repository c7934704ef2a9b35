"""The verbs that prove what is promised: `verify`, `repair`, `drill`.

One file a verb; `verify_query` shows the answers of two Brokers.
"""
