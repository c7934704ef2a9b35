"""Requests from remote clients: one type for each verb.

Every other part of `control`, and the command line with `--service`, reads these types, which
depend only on the types of the configuration. A *request* describes one verb's run; a *planned*
request needs consent.
"""
