"""What a source's operator must ask Druid for, so that segments are used again as they were."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import quote

from replicator.model.event import Offset
from replicator.model.interval import Interval
from replicator.model.row import Kind
from replicator.model.wire import RawRow

SEGMENTS_PER_CALL_MAX = 500
"""Druid puts the ids of one call into one statement."""
OVERLORD = "/druid/indexer/v1/datasources"
MARK_UNUSED, MARK_USED = "markUnused", "markUsed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfDatasource:
    """A `Rule`: the segments of one datasource, all or those that are used."""

    datasource: str
    used_only: bool = False

    def mark(self, told: RawRow, _: Offset) -> bytes | None:
        """Return the source's fingerprint of such a segment."""
        if told.key.kind is not Kind.SEGMENT or told.columns["datasource"] != self.datasource:
            return None
        return told.fingerprint if told.columns["used"] or not self.used_only else None


class Call(NamedTuple):
    """One POST to an Overlord."""

    path: str
    segment_ids: Sequence[str]


class SegmentState(NamedTuple):
    """A segment without its payload."""

    id: str
    interval: Interval
    version: str
    used: bool


class Timeline:
    """Which versions are wanted where."""

    def __init__(self, segments: Iterable[SegmentState]) -> None:
        oldest: dict[Interval, str] = {}
        for one in segments:
            oldest[one.interval] = min(one.version, oldest.get(one.interval, one.version))
        self._versions: Mapping[Interval, str] = oldest
        self._intervals = sorted(oldest)
        self._starts = [one.start_ms for one in self._intervals]
        self._ends = list(accumulate((one.end_ms for one in self._intervals), max))

    def is_hidden_by(self, segment: SegmentState) -> bool:
        """Return whether a segment would hide some that are wanted: newer, and overlapping.

        Druid marks nothing used that is overshadowed (SqlSegmentsMetadataQuery, Druid 37), so such
        a segment has to be marked unused before.
        """
        place = segment.interval
        at = bisect_left(self._starts, place.end_ms) - 1
        while at >= 0 and self._ends[at] > place.start_ms:
            one = self._intervals[at]
            if one.overlaps(place) and self._versions[one] < segment.version:
                return True
            at -= 1
        return False


def calls(datasource: str, *, unused: Sequence[str], used: Sequence[str]) -> list[Call]:
    """Return what to ask for, in this order: what hides the others goes first."""
    base = f"{OVERLORD}/{quote(datasource, safe='')}"
    return [
        Call(f"{base}/{verb}", ids[start : start + SEGMENTS_PER_CALL_MAX])
        for verb, ids in ((MARK_UNUSED, unused), (MARK_USED, used))
        for start in range(0, len(ids), SEGMENTS_PER_CALL_MAX)
    ]
