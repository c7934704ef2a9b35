"""The result of one trial of `check`."""

from dataclasses import dataclass

from replicator.errors import LoginError, ReplicatorError, TransientError


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one trial."""

    what: str
    good: bool
    detail: str
    hint: str = ""
    note: bool = False
    """Whether the result is worth showing although it is good."""
    wants_login: bool = False
    """Whether the server has refused user or password."""
    may_pass: bool = False
    """Whether the same may succeed later: a server does not answer."""


def failed(what: str, exc: ReplicatorError) -> Finding:
    """Return the finding of a trial that ended with an error."""
    refused = isinstance(exc, LoginError)
    return Finding(
        what=what,
        good=False,
        detail=str(exc),
        hint=exc.hint,
        wants_login=refused,
        may_pass=isinstance(exc, TransientError),
    )
