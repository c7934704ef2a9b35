"""Kinds of observations that a verb may need without all the others, which `observation` names.

Made by every service; shown and counted by `cli` and `web`.
"""
