"""Turning a library's exceptions into ours, at the adapter's edge and nowhere else."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

from replicator.errors import ReplicatorError

ErrorMap: TypeAlias = Mapping[type[BaseException], Callable[[str], ReplicatorError]]


@contextmanager
def translate(errors: ErrorMap, doing: str) -> Generator[None]:
    """Raise our error for the first match, the library's own kept as `__cause__`."""
    try:
        yield
    except tuple(errors) as exc:
        for kind, ours in errors.items():
            if isinstance(exc, kind):
                raise ours(f"{doing}: {reason(exc)}") from exc
        raise


def reason(exc: BaseException) -> str:
    """Return what an exception says, and what it is where it says nothing, as a timeout does."""
    if said := str(exc).strip():
        return said
    return "no answer in time" if isinstance(exc, TimeoutError) else type(exc).__name__
