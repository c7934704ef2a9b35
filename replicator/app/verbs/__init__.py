"""Parts of single verbs beyond the services that `Application` hands out.

Called by `cli`, `control` and `page`; calls `Application`, which calls nothing in here.
"""
