"""Implementations of the ports, a room for each technology, which translates its libraries' errors.

Technologies never import each other. They share `bucket` (a storage over any object store),
`transfer` (packing, hashing, pacing, HTTP) and `machine` (clock, threads, workers). `scratch`
starts servers of its own for drills and the demo, so it is above them.
"""
