"""Which release's tables a metadata store must have to hold the rows of another."""

from collections.abc import Collection
from dataclasses import dataclass

from replicator.model.row import Kind, Segment

OLDEST, MIDDLE, NEWEST = "25", "33", "37"
"""Releases whose tables are known; one in between adds no column that a row shows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRelease:
    """The release and the feature that a database gets its tables for."""

    release: str
    centralized: bool
    """Whether segment schemas are kept (`druid.centralizedDatasourceSchema.enabled`)."""
    because: str
    """Where the release was seen, for the operator."""


def tables_for(
    kinds: Collection[Kind], segment: Segment | None, because: str
) -> TableRelease | None:
    """Return what tables hold rows of these kinds, judged by one segment; None without any row.

    `druid_indexingStates` came with Druid 37. `used_status_last_updated` is there since 27 and set
    since 28: rows without it were written by an older release.
    """
    centralized = Kind.SEGMENT_SCHEMA in kinds
    if Kind.INDEXING_STATE in kinds:
        return TableRelease(release=NEWEST, centralized=centralized, because=because)
    if segment is None:
        return None
    release = OLDEST if segment.used_status_last_updated is None else MIDDLE
    return TableRelease(release=release, centralized=centralized, because=because)
