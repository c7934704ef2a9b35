"""What a plan's totals need of each row that a fold has read: none is read again for them."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from replicator.model.arrays import np
from replicator.model.druid.interval import FIRST_MS, LAST_MS, Interval
from replicator.model.event import Offset
from replicator.model.log.effects import UNNAMED, EffectShare, EffectShares
from replicator.model.log.peek import EventSummary
from replicator.model.log.tally import Tally
from replicator.model.row import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from replicator.model.inventory.ledger import Mask, Offsets

ROWS_MAX: Final = 4_000_000
"""Number of events of which this is kept, 100 MB at most; totals of more need the records again."""
_NO_SIZE, _SEGMENT, _USED = -1, 1, 2


class BatchRows(NamedTuple):
    """Rows of consecutive records, in parallel columns: 25 bytes each, and what they share."""

    offsets: "array[int]"
    sizes: "array[int]"
    """Unpacked bytes; -1: the row has none."""
    names: "array[int]"
    """Index of each row's datasource."""
    times: "array[int]"
    """Index of each row's interval."""
    flags: bytes
    datasources: list[str | None]
    intervals: list[Interval]

    def tally(self, picked: "Mask") -> Tally:
        """Return the totals of some of the rows, as if none of them had been used before."""
        names = np.frombuffer(self.names, np.uint32)[picked]
        flags = np.frombuffer(self.flags, np.uint8)[picked]
        sizes = np.frombuffer(self.sizes, np.int64)[picked]
        sizes = sizes[sizes != _NO_SIZE]
        counts = np.bincount(names, minlength=len(self.datasources)).tolist()
        named = zip(self.datasources, counts, strict=True)
        come = (flags & _USED) != 0
        times = np.frombuffer(self.times, np.uint32)[picked][come]
        return Tally(
            segments=int(np.count_nonzero(flags & _SEGMENT)),
            objects=len(sizes),
            size_bytes=sum(sizes.tolist()),  # of Python's numbers: 64 bits may be too few
            by_datasource=Counter({name: count for name, count in named if count}),
            shares=EffectShares(gained=self._shares(names[come], times)),
        )

    def _shares(
        self, names: "NDArray[np.uint32]", times: "NDArray[np.uint32]"
    ) -> dict[str, EffectShare]:
        """Return the segments by datasource, and from when to when they reach."""
        first = np.full(len(self.datasources), LAST_MS)
        last = np.full(len(self.datasources), FIRST_MS)
        np.minimum.at(first, names, np.array([one.start_ms for one in self.intervals])[times])
        np.maximum.at(last, names, np.array([one.end_ms for one in self.intervals])[times])
        counts = np.bincount(names, minlength=len(self.datasources))
        found: dict[str, EffectShare] = {}
        for at in np.flatnonzero(counts).tolist():
            interval = Interval(int(first[at]), int(last[at]))
            share = found.setdefault(self.datasources[at] or UNNAMED, EffectShare())
            share.add(interval, int(counts[at]))
        return found


def batch_rows(offsets: Sequence[Offset], seen: Sequence[EventSummary]) -> BatchRows:
    """Return the columns of some rows."""
    datasources: dict[str | None, int] = {}
    intervals: dict[Interval, int] = {}
    for one in seen:
        datasources.setdefault(one.datasource, len(datasources))
        intervals.setdefault(one.interval, len(intervals))
    return BatchRows(
        array("q", offsets),
        array("q", [_NO_SIZE if one.size_bytes is None else one.size_bytes for one in seen]),
        array("I", [datasources[one.datasource] for one in seen]),
        array("I", [intervals[one.interval] for one in seen]),
        bytes([_SEGMENT * (one.kind is Kind.SEGMENT) + _USED * one.used for one in seen]),
        list(datasources),
        list(intervals),
    )


class FoldedRows:
    """The rows of a fold, as long as they are not too many."""

    def __init__(self, rows_max: int = ROWS_MAX) -> None:
        self._batches: list[BatchRows] = []
        self._rows, self._rows_max = 0, rows_max

    def add(self, batch: BatchRows) -> None:
        """Add what was read."""
        self._rows += len(batch.offsets)
        if len(batch.offsets) > 0 and self._rows <= self._rows_max:
            self._batches.append(batch)

    def forget(self) -> None:
        """Forget what was read: a base stands for it, or it is not believed."""
        self._batches.clear()
        self._rows = 0

    def tallies(self, picks: "Offsets") -> tuple["Offsets", Iterator[Tally]]:
        """Return the ascending picks of which nothing is known, and the totals of the others."""
        left = np.ones(len(picks), np.bool_)
        found: list[tuple[BatchRows, Mask]] = []
        for batch in self._batches:
            offsets = np.frombuffer(batch.offsets, np.int64)
            at = np.searchsorted(picks, offsets)
            picked = at < len(picks)
            picked[picked] = picks[at[picked]] == offsets[picked]
            picked[picked] = left[at[picked]]
            left[at[picked]] = False
            found.append((batch, picked))
        return picks[left], (batch.tally(picked) for batch, picked in found if picked.any())
