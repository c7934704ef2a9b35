"""Tells operators what broke and what works again, at addresses of their own.

A watcher of promises looks at log and targets, and records what changed in a journal; a sender for
each webhook delivers from it. Called by `app`; looks through `inspection`, and changes nothing.
"""
