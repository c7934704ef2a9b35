"""The two loops: the watcher turns the source into cuts, the applier brings a target to them.

Called by `run`, `watch` and `apply`. A *poll* is one look of the watcher at the source; a *delay*
keeps a target behind on purpose.
"""
