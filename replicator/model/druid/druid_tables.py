"""The Druid release whose tables a metadata store needs for the rows of another store."""

from collections.abc import Collection
from dataclasses import dataclass

from replicator.model.row import Kind, Segment

OLDEST, MIDDLE, NEWEST = "25", "33", "37"
"""Releases whose tables are known; releases in between add no column that rows reveal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRelease:
    """The release and the feature for which a database's tables are created."""

    release: str
    centralized: bool
    """Whether segment schemas are stored (`druid.centralizedDatasourceSchema.enabled`)."""
    because: str
    """Reason for this choice, for the operator."""


def tables_for(
    kinds: Collection[Kind], segment: Segment | None, because: str
) -> TableRelease | None:
    """Return the tables for rows of these kinds, judged by one segment; None without any row.

    `druid_indexingStates` came with Druid 37. `used_status_last_updated` exists since Druid 27 and
    is set since 28, so rows without a value were written by an older release.
    """
    centralized = Kind.SEGMENT_SCHEMA in kinds
    if Kind.INDEXING_STATE in kinds:
        return TableRelease(release=NEWEST, centralized=centralized, because=because)
    if segment is None:
        return None
    release = OLDEST if segment.used_status_last_updated is None else MIDDLE
    return TableRelease(release=release, centralized=centralized, because=because)
