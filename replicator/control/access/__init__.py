"""Who may ask for what: tokens, TLS, the check of each request, and the audit log.

Called by `service.py` alone, but for `token`, which makes tokens. A *principal* is whoever stands
behind a request.
"""
