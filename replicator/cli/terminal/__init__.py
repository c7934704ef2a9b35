"""Output and input of verbs on a terminal: lines, bars, questions, signals.

Every verb calls this room, and it knows no verb. *Typed* is an argument as the operator wrote it.
"""
