"""Refuses names that are not configured, and suggests the nearest one."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from replicator.errors import NotFoundError

NAMED_MAX = 10


def refuse_unknown(names: Iterable[str], known: Collection[str], *, what: str = "target") -> None:
    """Refuse the first unknown name.

    Raises:
        NotFoundError: a name is unknown; the hint suggests the nearest one.
    """
    for name in names:
        if name not in known:
            raise NotFoundError(
                f"there is no {what} {name!r} in the configuration", hint=_hint(name, known)
            )


def _hint(name: str, known: Collection[str]) -> str:
    if close := get_close_matches(name, sorted(known), n=1):
        return f"did you mean {close[0]!r}? Names are exact"
    if not known:
        return "none is configured"
    return f"configured: {', '.join(sorted(known)[:NAMED_MAX])}"
