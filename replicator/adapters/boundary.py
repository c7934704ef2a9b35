"""Turns a library's exceptions into the replicator's, at the adapter's edge and nowhere else."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from replicator.errors import ReplicatorError, TransientError

_ODD_ANSWER = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError)
ErrorMap: TypeAlias = Mapping[type[BaseException], Callable[[str], ReplicatorError]]


@contextmanager
def translate(errors: ErrorMap, doing: str) -> Generator[None]:
    """Raise the replicator's error of the first match; the library's own is its `__cause__`."""
    try:
        yield
    except tuple(errors) as exc:
        for kind, ours in errors.items():
            if isinstance(exc, kind):
                raise ours(f"{doing}: {reason(exc)}") from exc
        raise


def reason(exc: BaseException) -> str:
    """Return an exception's message, or its class if the message is empty, as a timeout's is."""
    if message := str(exc).strip():
        return message
    return "no answer in time" if isinstance(exc, TimeoutError) else type(exc).__name__


@contextmanager
def understood(what: str, hint: str) -> Generator[None]:
    """Take an answer of another form than a server's of that kind for one that came wrong.

    Only the reading of it belongs into the block, so that no defect of ours looks like that.

    Raises:
        TransientError: it is of another form; `what` names it.
    """
    try:
        yield
    except _ODD_ANSWER as exc:
        text = f"{what} cannot be read: {type(exc).__name__}: {exc}"
        raise TransientError(text, hint=hint) from exc
