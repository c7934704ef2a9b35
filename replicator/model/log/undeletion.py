"""The calls by which a source's operator makes Druid use segments again as they were."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple
from urllib.parse import quote

from replicator.model.druid.interval import Interval
from replicator.model.druid.payload import member
from replicator.model.event import Offset
from replicator.model.log.wire import RawRow
from replicator.model.row import Kind

SEGMENTS_PER_CALL_MAX = 500
"""Limit for the ids in one call: Druid puts them into one statement."""
OVERWRITES = "numbered_overwrite"
OVERLORD = "/druid/indexer/v1/datasources"
MARK_UNUSED, MARK_USED = "markUnused", "markUsed"


@dataclass(frozen=True, slots=True, kw_only=True)
class OfDatasource:
    """A `Rule`: the segments of one datasource, all of them or the used ones."""

    datasource: str
    used_only: bool = False

    def mark(self, raw: RawRow, _: Offset) -> bytes | None:
        """Return the source's fingerprint of such a segment."""
        if raw.key.kind is not Kind.SEGMENT or raw.columns["datasource"] != self.datasource:
            return None
        return raw.fingerprint if raw.columns["used"] or not self.used_only else None


class DruidCall(NamedTuple):
    """One POST to an Overlord."""

    path: str
    segment_ids: Sequence[str]


class Roots(NamedTuple):
    """The partitions that a segment replaces, and how often they were overwritten.

    Under segment locks an overwrite has the version of what it overwrites, and its own partition
    numbers from 32768 on (NumberedOverwriteShardSpec).
    """

    start: int = 0
    end: int = 1
    minor: int = 0

    def overwrites(self, other: "Roots") -> bool:
        """Return whether these hide the others' segment of the same version."""
        return other.minor < self.minor and self.start < other.end and other.start < self.end


class SegmentState(NamedTuple):
    """A segment without its payload."""

    id: str
    interval: Interval
    version: str
    used: bool
    roots: Roots = Roots()


def roots_of(payload: bytes) -> Roots:
    """Return the partitions that a segment replaces.

    Raises:
        MalformedRowError: the payload is not JSON.
    """
    found = member(payload, "shardSpec")
    if not isinstance(found, dict):
        return Roots()
    if found.get("type") == OVERWRITES:
        names = ("startRootPartitionId", "endRootPartitionId", "minorVersion")
        return Roots(*(_number(found, name) for name in names))
    start = _number(found, "partitionNum")
    return Roots(start, start + 1)


class Timeline:
    """The wanted versions by interval."""

    def __init__(self, segments: Iterable[SegmentState]) -> None:
        oldest: dict[Interval, str] = {}
        roots: dict[Interval, dict[str, set[Roots]]] = {}
        for one in segments:
            oldest[one.interval] = min(one.version, oldest.get(one.interval, one.version))
            roots.setdefault(one.interval, {}).setdefault(one.version, set()).add(one.roots)
        self._versions: Mapping[Interval, str] = oldest
        self._roots: Mapping[Interval, Mapping[str, AbstractSet[Roots]]] = roots
        self._intervals = sorted(oldest)
        self._starts = [one.start_ms for one in self._intervals]
        self._ends = list(accumulate((one.end_ms for one in self._intervals), max))

    def is_hidden_by(self, segment: SegmentState) -> bool:
        """Return whether a segment would hide wanted ones: it is newer, and overlaps.

        Newer means a later version, or the same version with overwritten partitions.

        Druid never marks an overshadowed segment used (SqlSegmentsMetadataQuery, Druid 37), so the
        newer one must be marked unused first.
        """
        interval = segment.interval
        at = bisect_left(self._starts, interval.end_ms) - 1
        while at >= 0 and self._ends[at] > interval.start_ms:
            one = self._intervals[at]
            if one.overlaps(interval) and self._is_older(one, segment):
                return True
            at -= 1
        return False

    def _is_older(self, one: Interval, segment: SegmentState) -> bool:
        if self._versions[one] < segment.version:
            return True
        same = self._roots[one].get(segment.version, ())
        return segment.roots.minor > 0 and any(map(segment.roots.overwrites, same))


def _number(found: Mapping[str, Any], name: str) -> int:
    number = found.get(name)
    return number if isinstance(number, int) else 0


def calls(datasource: str, *, unused: Sequence[str], used: Sequence[str]) -> list[DruidCall]:
    """Return the calls in their order: segments that hide others go first."""
    base = f"{OVERLORD}/{quote(datasource, safe='')}"
    return [
        DruidCall(f"{base}/{verb}", ids[start : start + SEGMENTS_PER_CALL_MAX])
        for verb, ids in ((MARK_UNUSED, unused), (MARK_USED, used))
        for start in range(0, len(ids), SEGMENTS_PER_CALL_MAX)
    ]
