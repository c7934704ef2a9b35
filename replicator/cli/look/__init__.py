"""The verbs that show something and change nothing but names of cuts.

One file a verb. `naming` has `points create` and `points remove`; `log_move` has `log move`.
"""
