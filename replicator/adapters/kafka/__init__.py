"""The event log in a Kafka topic of one partition, written in transactions.

A *session* says how the brokers are reached; the *topic* is created and checked once.
"""
