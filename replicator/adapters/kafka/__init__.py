"""The event log in a Kafka topic of one partition, written in transactions.

The *session* is what both ends are connected by, the *topic* is made and checked once.
"""
