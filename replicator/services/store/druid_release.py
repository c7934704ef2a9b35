"""Keeps beside a target which release its Druid runs: its rows are written for that."""

import orjson

from replicator.errors import NotFoundError
from replicator.model.release import Release, release_of
from replicator.ports import Area

NAME = "druid.json"


async def remembered(area: Area) -> Release | None:
    """Return the release that was kept, None when none was, or it cannot be read.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    try:
        found = orjson.loads(await area.get(NAME))
    except (NotFoundError, ValueError):
        return None
    return release_of(str(found.get("release"))) if isinstance(found, dict) else None


async def remember(area: Area, release: Release) -> None:
    """Keep a release, so that all who write or compare rows take the same.

    Raises:
        TransientError, ConfigError: as for `Area`.
    """
    if await remembered(area) != release:
        await area.replace(NAME, orjson.dumps({"release": release.text}))
