"""How what is asked for is done: jobs, and the processes that they consist of.

`service.py` puts it together. A *job* runs one verb; an *order* asks for a job; a *live* job has
not ended. Each process keeps the lock of its job, so that no second service runs it again
meanwhile.
"""
