"""Druid's metadata in MySQL or MariaDB: read in one snapshot, written in one transaction.

*Freshness* is how old what a server shows may be; *fitness* whether a target's tables and server
can be written as they must be. `druid_tables` has the tables as releases of Druid make them.
"""
