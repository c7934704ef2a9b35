"""Brings a target to a cut that was chosen, whole, by datasource, or under another name.

Called by `app` and by drills. A restore *plans* first: what is to be copied, written and removed is
a value that can be shown and priced before anything is touched.
"""
