"""Segments that are in a log and not yet on a target, with 52 bytes per segment.

Only segments after the target's cut are included: the bytes of all others were copied before their
rows were written. If a move task gave one of them another location it is copied again, but a kill
there could only delete what the target has. Bytes count as copied once the cut is applied.

Like a ledger it holds no contents, and only the last state of each segment. Attempts that were
never closed count as well: their events were true at the source, and err towards an earlier kill.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from replicator.model.arrays import np
from replicator.model.document import natural
from replicator.model.event import Offset
from replicator.model.fingerprint import key_hash
from replicator.model.log.kill_margin import UNKNOWN, USED, kill_margins_ms
from replicator.model.row import Kind, RowKey
from replicator.model.timestamps import time_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MERGE_MIN = 1 << 16
"""Number of new updates below which a merge waits: each merge sorts all segments once."""

_GONE = _KNOWN = -1
_EPOCH_START = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


@cache
def _row() -> np.dtype[np.void]:
    from replicator.model.inventory.ledger import KEY  # noqa: PLC0415 - a log without news needs none

    return np.dtype(
        [
            ("key", KEY),
            ("born", np.int64),  # offset of the event that made the row; -1: it was there before
            ("offset", np.int64),
            ("unused_since_ms", np.int64),
            ("size_bytes", np.int64),  # -1: the row is gone
            ("datasource", np.int32),
        ]
    )


class SegmentUpdate(NamedTuple):
    """One event's update of a segment; a tuple, because millions of them are created."""

    id: str
    datasource: str
    """Datasource of the segment; '' if the row is gone."""
    is_new: bool
    """Whether the previous cut had no such row."""
    used: bool
    used_status_last_updated: str | None
    size_bytes: int | None
    """Unpacked size of the segment's bytes, as in `segment_size`; None if the row is gone."""


class Backlog:
    """Takes updates in the order of the log, and forgets those that the target has reached."""

    def __init__(self) -> None:
        self._names: dict[str, int] = {}
        self._rows: NDArray[np.void] | None = None
        """Waiting segments; None: there are none, and numpy need not be imported to know."""
        self._waiting: list[NDArray[np.void]] = []

    def add(self, words: Iterable[tuple[Offset, SegmentUpdate]]) -> None:
        """Add updates; their offsets ascend."""
        rows: list[tuple[bytes, int, int, int, int, int]] = []
        for offset, word in words:
            key = key_hash(RowKey(Kind.SEGMENT, word.id))
            born = offset if word.is_new else _KNOWN
            size_bytes = _GONE if word.size_bytes is None else word.size_bytes
            datasource = self._names.setdefault(word.datasource, len(self._names))
            rows.append((key, born, offset, _since_ms(word), size_bytes, datasource))
        if not rows:
            return
        self._waiting.append(np.array(rows, _row()))
        merged = 0 if self._rows is None else len(self._rows)
        if sum(map(len, self._waiting)) >= max(MERGE_MIN, merged // 2):
            self._merge()

    def reach(self, offset: Offset) -> None:
        """Forget the segments up to an offset: the target has them now."""
        self._merge()
        if self._rows is not None and int(self._rows["born"].min()) <= offset:
            self._keep(self._rows[self._rows["born"] > offset])

    def pending(self) -> tuple[int, int]:
        """Return the number of waiting segments, and their unpacked bytes."""
        self._merge()
        if self._rows is None:
            return 0, 0
        # As floats: more than a thousand hostile sizes would overflow what 64 bits hold.
        return len(self._rows), natural(self._rows["size_bytes"].sum(dtype=np.float64))

    def kill_margins(self, now: datetime, buffer: timedelta) -> Mapping[str, timedelta]:
        """Return for each datasource the time until a kill could delete bytes not copied yet."""
        self._merge()
        if self._rows is None:
            return {}
        margins = kill_margins_ms(
            self._rows["unused_since_ms"],
            now_ms=(now - _EPOCH_START) // _MILLISECOND,
            buffer_ms=buffer // _MILLISECOND,
        )
        smallest = np.full(len(self._names), USED, np.int64)
        np.minimum.at(smallest, self._rows["datasource"], margins)
        return {
            name: int(smallest[index]) * _MILLISECOND
            for name, index in self._names.items()
            if smallest[index] != USED
        }

    def _merge(self) -> None:
        if not self._waiting:
            return
        merged = () if self._rows is None else (self._rows,)
        rows = np.concatenate([*merged, *self._waiting])
        self._waiting = []
        rows = rows[np.lexsort((rows["offset"], rows["key"]))]
        differs = rows["key"][1:] != rows["key"][:-1]
        first, last = np.concatenate([[True], differs]), np.concatenate([differs, [True]])
        found = rows[last]
        found["born"] = np.maximum.reduceat(rows["born"], np.flatnonzero(first))
        self._keep(found[(found["size_bytes"] != _GONE) & (found["born"] != _KNOWN)])

    def _keep(self, rows: NDArray[np.void]) -> None:
        self._rows = rows if len(rows) else None


def _since_ms(word: SegmentUpdate) -> int:
    if word.used:
        return USED
    since = time_of(word.used_status_last_updated)
    return UNKNOWN if since is None else (since - _EPOCH_START) // _MILLISECOND
