"""Druid's HTTP API: clients of Coordinator, Overlord and Broker, each with a list of servers.

Called by `app`, and by `scratch` for the Druid of a drill.
"""
