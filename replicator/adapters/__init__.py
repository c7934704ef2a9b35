"""Ports made real, a room for each technology; their libraries' errors are translated here.

Technologies are strangers to each other. They share `bucket` (a storage over any object store),
`transfer` (packing, hashing, pacing, HTTP) and `machine` (clock, threads, workers). `scratch`
starts servers of its own for drills and the demo, so it stands above them.
"""
