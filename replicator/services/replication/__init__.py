"""The two loops: the watcher records the source as cuts, the applier brings a target to them.

Called by `run`, `watch` and `apply`. A *poll* is one scan of the source by the watcher; a *delay*
keeps a target behind the source on purpose.
"""
