"""Settings of everything around replication: HTTP, the API, schedules, notifications, prices.

Read by `app`, `control`, `web` and `page`.
"""
