"""Looks at several targets, where one unreachable target does not hide the others."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from rich.console import Console

from replicator import errors
from replicator.errors import ReplicatorError
from replicator.services.inspection.points_report import NotSeen, not_seen

_Found = TypeVar("_Found")


async def of_each(
    names: Iterable[str], look: Callable[[str], Awaitable[_Found]]
) -> tuple[dict[str, _Found], list[NotSeen]]:
    """Return the results by target, and the targets that could not be looked at."""
    found: dict[str, _Found] = {}
    failures: list[NotSeen] = []
    for name in names:
        try:
            found[name] = await look(name)
        except ReplicatorError as exc:
            failures.append(not_seen(name, exc))
    return found, failures


def exit_code(failures: Iterable[NotSeen]) -> int:
    """Return the exit code of the worst failure; 0 without failures."""
    kinds = (getattr(errors, one.type, ReplicatorError) for one in failures)
    return max((kind.exit_code for kind in kinds), default=0)


def show_not_seen(console: Console, failures: Sequence[NotSeen]) -> None:
    """Print the targets that could not be looked at, and the reasons."""
    for one in failures:
        console.print(f"NOT SEEN {one.target}: {one.message}", markup=False, style="red")
        if one.hint:
            console.print(f"  hint: {one.hint}", markup=False)
