"""Druid's releases, as its servers say them at `/status`."""

import re
from typing import NamedTuple

_RELEASE = re.compile(r"(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:[-.].*)?")
_YEARS = 1000
"""Vendors number by the year; which Druid that is their numbers do not say."""


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
