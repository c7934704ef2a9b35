"""The handlers of the API's paths, and the types of their answers.

Used by `service.py`, which puts the routes together. A *view* is an answer as the OpenAPI document
shows it.
"""
