"""Brings a target to a chosen cut: as a whole, by datasource, or under another name.

Called by `app` and by drills. A restore *plans* first: what it will copy, write and delete is a
value that can be shown and priced before anything is changed.
"""
