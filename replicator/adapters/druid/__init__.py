"""Druid's HTTP API: Coordinator, Overlord and Broker, tried one after another.

Called by `app`, and by `scratch` for the Druid of a drill.
"""
