"""The change stream: what a source's server reports of each commit, by logical decoding.

The reader asks for a stream here, and verbs that make or drop one. Words: a *slot* is the server's
place in the stream and retains its log; *pgoutput* is the format in which rows arrive.
"""
