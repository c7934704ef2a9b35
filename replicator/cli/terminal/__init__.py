"""What a verb shows on a terminal and what it reads there: lines, bars, questions, signals.

Called by every verb; knows no verb. *Typed* is what an operator wrote as an argument.
"""
