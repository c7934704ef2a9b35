"""What each address of the API does, and the types that it answers with.

Called by `service.py`, which puts the routes together. A *view* is an answer as the OpenAPI
document shows it.
"""
