"""Copies of datasources that lie beside what a target follows, and the source's own names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from replicator.errors import RefusedError, ReplicatorError
from replicator.services.monitoring.side_copies import MixedCopy, mixed_copies

if TYPE_CHECKING:
    from replicator.app.application import Application


async def mixed(application: Application, targets: Iterable[str]) -> list[MixedCopy]:
    """Return the copies that the source's rows are mixed with; what is away tells nothing.

    `status` says of a target or a source that it cannot be queried.
    """
    found, source = list[MixedCopy](), application.source.metadata()
    for name in targets:
        try:
            copies = await application.target(name).metadata.renamed(application.source.name)
            found += await mixed_copies(name, copies, source)
        except ReplicatorError:
            continue
    return found


async def refuse_name_of_source(application: Application, target: str, name: str) -> None:
    """Refuse to restore under a name of the source's own, on a target that follows that source.

    A source that cannot be queried is no reason to refuse: it may be why something is restored.

    Raises:
        RefusedError: the source has used segments under that name.
    """
    if application.settings.source is None:
        return
    checkpoint = await application.checkpoint(target)
    if checkpoint is None or checkpoint.promoted:
        return
    try:
        free = await application.source.metadata().without_used([name])
    except ReplicatorError:
        return
    if name not in free:
        raise RefusedError(
            f"the source has a datasource {name!r} of its own: its rows would come beside the copy"
            f" on target {target!r}, and hide it",
            hint="choose another name; nothing was changed",
        )
