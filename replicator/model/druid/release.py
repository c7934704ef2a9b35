"""Druid's releases, as its servers say them at `/status`."""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from replicator.errors import ConfigError

_RELEASE = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:[-.].*)?")
_YEARS = 1000
"""Vendors number by the year; which Druid that is their numbers do not say."""
_LET_DRUID: Final = (
    "let this Druid make its tables itself: start its Coordinator on the empty database once, then"
    " run the command again"
)


class Release(NamedTuple):
    """Which Druid it is."""

    major: int
    minor: int = 0
    patch: int = 0

    @property
    def text(self) -> str:
        """As Druid writes it, like `33.0.0`."""
        return f"{self.major}.{self.minor}.{self.patch}"


def release_of(text: str) -> Release | None:
    """Return the release that a text says, None when it says none of Apache Druid's.

    Snapshots count as what they become.
    """
    found = _RELEASE.fullmatch(text.strip())
    if found is None or int(found[1]) >= _YEARS:
        return None
    return Release(*(int(part or 0) for part in found.groups()))


def table_layout(release: str, *, centralized: bool, known: Collection[str]) -> str:
    """Return which of the known layouts a release's tables have, like `druid-33-centralized`.

    Raises:
        ConfigError: it is none of them.
    """
    major = release.partition(".")[0]
    name = f"druid-{major}" + ("-centralized" if centralized else "")
    if name not in known:
        listed = ", ".join(sorted(known))
        raise ConfigError(
            f"the tables of {name} are not known here ({listed} are)", hint=_LET_DRUID
        )
    return name
