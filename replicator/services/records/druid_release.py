"""Records beside a target which release its Druid runs: rows are written for that release."""

from dataclasses import dataclass

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.document import Shape, written
from replicator.model.druid.release import Release, release_of
from replicator.ports import Area

NAME = "druid.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _ReleaseNote:
    release: str


_NOTE = Shape(_ReleaseNote, "remove it, the next look at the Druid writes it again", formats=None)


async def remembered(area: Area) -> Release | None:
    """Return the recorded release; None if there is none or it cannot be read.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    try:
        return release_of(_NOTE.read(NAME, await area.get(NAME)).release)
    except (NotFoundError, CorruptionError):
        return None


async def remember(area: Area, release: Release) -> None:
    """Record a release, so that all processes that write or compare rows use the same one.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    if await remembered(area) != release:
        await area.replace(NAME, written({"release": release.text}, None))
