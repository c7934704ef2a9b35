"""A deep storage and an area over any object store that has the calls of a `Bucket`.

Called by `s3`, `google`, `azure` and `hdfs`. A *receipt* says what was copied and how it was
checked; a *location* is bucket and key.
"""
