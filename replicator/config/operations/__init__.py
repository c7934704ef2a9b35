"""Settings of everything beside replication: HTTP, the API, schedules, notifications, prices.

Read by `app`, `control`, `web` and `page`.
"""
