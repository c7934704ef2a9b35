"""The control API over HTTP: jobs, plans, and who may request them.

Other rooms enter through two doors:

- **Jobs** (`work/jobs.py`).
  `Control.jobs.submit(Order(request=VerifyRequest(target="standby"), by="…"))` makes a job of one
  verb and returns it; `ended(id, within_s)` waits for its end, `answer(id)` returns the verb's
  document, `cancel(id)` ends it, and `subscribe(listener)` reports each ended job. The typed
  requests are in `requests`. A `Planned` request needs consent: over HTTP by the digest of its
  plan; an order with `agreed=True` has the configuration's consent.
- **Routes** (`routes.py`). A `Route` names method, path, role and the types of request and answer;
  routing, checks and the OpenAPI document are made from that table alone. `Control(…, routes=[…])`
  takes further ones. A handler gets an `ApiCall` and returns a `Reply`, or raises: a
  `ReplicatorError` or a `Problem` becomes a problem document (RFC 9457). A route without a role is
  open to everybody, like a page's files; the page's data need the token in `Authorization`, never a
  cookie, so no other site can make a browser request them.

A job is a process that runs the installed program, so it has the output, the errors and the fencing
of the command line. It ends with the service, however that ends.

Words: a *job* runs one verb; an *order* requests a job; a *plan* is what a verb would do, and its
*digest* expresses consent to it; a *principal* is the person or program behind a request.
"""
