"""Druid's metadata in MySQL or MariaDB: read in one snapshot, written in one transaction.

*Freshness* is the possible age of what a server shows; *fitness* is whether a target's tables and
server can be written correctly. `druid_tables` has the tables as releases of Druid make them.
"""
