"""Druid's metadata in PostgreSQL: read in one snapshot, written in one transaction.

*Freshness* is the possible age of what a server shows; *fitness* is whether a target's tables can
be written correctly. `stream` reports the source's commits; `druid_tables` has the tables as
releases of Druid make them.
"""
