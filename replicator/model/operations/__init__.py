"""Operations beside replication: access, jobs, schedules, notifications, heartbeats.

Used by the control API, the schedules and the command line; knows neither logs nor targets.
"""
