"""Does by itself what an operator would type again and again: at its time, once, and on record.

Called by the rooms above, which say what a run is. Knows neither verbs nor jobs.
"""
