"""Every segment of a log: its datasource, whether it is used, and its size.

A segment takes 29 bytes, so that a process can keep the book while it follows the log. Changes wait
in a dict until they are worth a merge into the sorted columns.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from replicator.model.inventory.ledger import KEY

MERGE_MIN = 1 << 16
"""Smallest number of changes that are merged: each merge sorts all segments once."""
_ROW = np.dtype(
    [("key", KEY), ("size_bytes", np.int64), ("datasource", np.int32), ("used", np.bool_)]
)


class BookedSegment(NamedTuple):
    """One segment in the book; a tuple, because millions of them are made."""

    datasource: str
    used: bool
    size_bytes: int
    """Unpacked size; 0 for a segment without bytes."""


@dataclass(slots=True, kw_only=True)
class DatasourceTotals:
    """Segments of one datasource and their unpacked bytes, used and all."""

    used: int = 0
    used_bytes: int = 0
    segments: int = 0
    size_bytes: int = 0

    def count(self, segment: BookedSegment, sign: int) -> None:
        """Add a segment (`sign` 1), or take it away (-1)."""
        self.segments += sign
        self.size_bytes += sign * segment.size_bytes
        if segment.used:
            self.used += sign
            self.used_bytes += sign * segment.size_bytes


class SegmentBook:
    """The segments of the last closed cut, by the hash of their keys."""

    def __init__(self) -> None:
        self._rows: NDArray[np.void] = np.empty(0, _ROW)
        self._new: dict[bytes, BookedSegment | None] = {}
        self._names: list[str] = []
        self._places: dict[str, int] = {}
        self._totals: dict[str, DatasourceTotals] = {}

    def get(self, key: bytes) -> BookedSegment | None:
        """Return a segment; None if there is none."""
        if key in self._new:
            return self._new[key]
        at = int(np.searchsorted(self._rows["key"], np.array(key, KEY)))
        if at == len(self._rows) or self._rows["key"][at] != np.array(key, KEY):
            return None
        row = self._rows[at]
        return BookedSegment(
            self._names[row["datasource"]], bool(row["used"]), int(row["size_bytes"])
        )

    def put(self, key: bytes, segment: BookedSegment | None) -> None:
        """Put a segment's present state; None: its row is gone."""
        if (before := self.get(key)) is not None:
            totals = self._totals[before.datasource]
            totals.count(before, -1)
            if not totals.segments:
                del self._totals[before.datasource]
        if segment is not None:
            self._totals.setdefault(segment.datasource, DatasourceTotals()).count(segment, 1)
        self._new[key] = segment
        # In proportion to the book, because a merge costs as much as the book is long.
        if len(self._new) >= max(MERGE_MIN, len(self._rows) // 8):
            self._merge()

    def used_of(self, datasource: str) -> int:
        """Return how many segments of a datasource are used."""
        found = self._totals.get(datasource)
        return found.used if found else 0

    @property
    def totals(self) -> Mapping[str, DatasourceTotals]:
        """Totals of each datasource that has segments."""
        return self._totals

    def clear(self) -> None:
        """Forget all segments."""
        self._rows = np.empty(0, _ROW)
        self._new.clear()
        self._totals.clear()

    def _merge(self) -> None:
        gone = np.array(sorted(self._new), KEY)
        kept = self._rows[~np.isin(self._rows["key"], gone)]
        rows = np.concatenate([kept, np.array(list(self._new_rows()), _ROW)])
        self._rows = rows[np.argsort(rows["key"], kind="stable")]
        self._new.clear()

    def _new_rows(self) -> Iterator[tuple[bytes, int, int, bool]]:
        for key, segment in self._new.items():
            if segment is not None:
                yield key, segment.size_bytes, self._place(segment.datasource), segment.used

    def _place(self, datasource: str) -> int:
        if datasource not in self._places:
            self._places[datasource] = len(self._names)
            self._names.append(datasource)
        return self._places[datasource]
