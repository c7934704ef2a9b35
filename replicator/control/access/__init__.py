"""Authorization: tokens, TLS, the check of each request, and the audit log.

Used by `service.py` alone, except `token`, which makes tokens. A *principal* is the person or
program behind a request.
"""
