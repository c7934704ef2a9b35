"""How requests are carried out: jobs and their processes.

`service.py` puts the parts together. A *job* runs one verb; an *order* requests a job; a *live* job
has not ended. Each process keeps its job's lock, so that no second service runs the job at the same
time.
"""
