"""Druid's releases, as its servers report them at `/status`."""

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from replicator.errors import ConfigError

_RELEASE = re.compile(r"(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:[-.].*)?")
_YEARS = 1000
"""Vendors use the year as their number, which does not reveal the release of Apache Druid."""
_LET_DRUID: Final = (
    "let this Druid make its tables itself: start its Coordinator on the empty database once, then"
    " run the command again"
)


class Release(NamedTuple):
    """A release of Apache Druid."""

    major: int
    minor: int = 0
    patch: int = 0

    @property
    def text(self) -> str:
        """The release as Druid writes it, like `33.0.0`."""
        return f"{self.major}.{self.minor}.{self.patch}"


def release_of(text: str) -> Release | None:
    """Return the release in a text; None if the text names no release of Apache Druid.

    A snapshot counts as the release that it precedes.
    """
    found = _RELEASE.fullmatch(text.strip())
    if found is None or int(found[1]) >= _YEARS:
        return None
    return Release(*(int(part or 0) for part in found.groups()))


def table_layout(release: str, *, centralized: bool, known: Collection[str]) -> str:
    """Return the name of the known layout of a release's tables, like `druid-33-centralized`.

    Raises:
        ConfigError: no layout is known for the release.
    """
    major = release.partition(".")[0]
    name = f"druid-{major}" + ("-centralized" if centralized else "")
    if name not in known:
        listed = ", ".join(sorted(known))
        raise ConfigError(
            f"the tables of {name} are not known here ({listed} are)", hint=_LET_DRUID
        )
    return name
