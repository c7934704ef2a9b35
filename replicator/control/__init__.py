"""The control API: jobs, plans and who may ask for them, over HTTP.

Two doors lead in here, for the rooms above:

- **Jobs** (`work/jobs.py`).
  `Control.jobs.submit(Order(asked=VerifyAsked(target="standby"), by="…"))`
  makes a job of one verb and returns it; `ended(id, within_s)` waits for it, `answer(id)` gives the
  verb's document, `cancel(id)` ends it, `subscribe(told)` hears of each job that has ended. The
  typed requests are in `asked`. What a `Planned` request changes must be agreed to: over HTTP by
  the digest of a plan; an order with `agreed=True` says that the configuration itself did.
- **Routes** (`routes.py`). A `Route` names method, path, role and the types of what goes in and
  comes out; the routing, the checks and the OpenAPI document are made of that table alone.
  `Control(…, routes=[…])` takes further ones. A handler gets an `ApiCall` and returns a `Reply`, or
  raises: a `ReplicatorError` or a `Problem` becomes a problem document (RFC 9457). A route without
  a role is open to everybody, like the files of a page; a page's data come with the token in
  `Authorization`, never with a cookie, so no other site can make a browser ask for them.

A job is a process of its own that runs the installed program, so it has the output, the errors and
the fencing of the command line. It ends with the service, however that ends.

Words: a *job* runs one verb; an *order* asks for a job; a *plan* is what a verb would do, agreed to
by its *digest*; a *principal* is whoever stands behind a request.
"""
