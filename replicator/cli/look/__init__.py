"""The verbs that show something; they change nothing but names of cuts and the log's store.

`naming` has `points create` and `points remove`; `log_move` has `log move`.
"""
