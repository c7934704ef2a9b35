"""Keeps beside a target which release its Druid runs: its rows are written for that."""

from dataclasses import dataclass

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.document import Shape, written
from replicator.model.release import Release, release_of
from replicator.ports import Area

NAME = "druid.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReleaseNote:
    release: str


_NOTE = Shape(_ReleaseNote, "remove it, the next look at the Druid writes it again", formats=None)


async def remembered(area: Area) -> Release | None:
    """Return the release that was kept, None when none was, or it cannot be read.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    try:
        return release_of(_NOTE.read(NAME, await area.get(NAME)).release)
    except (NotFoundError, CorruptionError):
        return None


async def remember(area: Area, release: Release) -> None:
    """Keep a release, so that all who write or compare rows take the same.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    if await remembered(area) != release:
        await area.replace(NAME, written({"release": release.text}, None))
