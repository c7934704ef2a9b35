"""Counts what a restore does to the used segments of each datasource, before it is agreed to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from replicator.model.druid.interval import Interval, interval_or_eternity
from replicator.model.event import Record
from replicator.model.fingerprint import key_hash
from replicator.model.log.peek import kind_of, subject_of
from replicator.model.plans.plan import Effect
from replicator.model.row import Kind, Segment, key_of

UNNAMED = "?"
"""Stands for the datasource of a segment whose id does not tell it."""


@dataclass(slots=True)
class _EffectShare:
    """Segments of one datasource, and the time from the first to the last of them."""

    count: int = 0
    interval: Interval | None = None

    def add(self, interval: Interval) -> None:
        """Count one more."""
        self.count += 1
        if (known := self.interval) is None:
            self.interval = interval
        elif not (known.start_ms <= interval.start_ms and interval.end_ms <= known.end_ms):
            self.interval = Interval(
                min(known.start_ms, interval.start_ms), max(known.end_ms, interval.end_ms)
            )


class EffectCount:
    """Takes the target's segments that differ from a cut, then those that the cut has instead.

    About 100 bytes for each used segment whose row changes; nothing for those that come or go.
    """

    def __init__(self) -> None:
        self._lost: dict[str, _EffectShare] = {}
        self._gained: dict[str, _EffectShare] = {}
        self._used = set[bytes]()

    def surplus(self, row: Segment) -> None:
        """Take one that goes."""
        if row.used:
            self._lost.setdefault(row.datasource, _EffectShare()).add(_interval(row))

    def stale(self, row: Segment) -> None:
        """Take one whose row changes."""
        if row.used:
            self._used.add(key_hash(key_of(row)))

    def come(self, records: Sequence[Record]) -> None:
        """Take the cut's rows that the target gets, as the log has them."""
        for record in records:
            found = subject_of(record) if kind_of(record) is Kind.SEGMENT else None
            if found is None:
                continue
            was_used = bool(self._used) and key_hash(found.row_key) in self._used
            if bool(found.used) != was_used:
                shares = self._lost if was_used else self._gained
                name = found.datasource or UNNAMED
                shares.setdefault(name, _EffectShare()).add(found.interval)

    def effects(self) -> tuple[Effect, ...]:
        """Return what the rows taken so far do, the largest losses first."""
        return tuple(sorted(self._effects(), key=_by_size))

    def _effects(self) -> Iterator[Effect]:
        for name in self._lost.keys() | self._gained.keys():
            lost, gained = (
                self._lost.get(name, _EffectShare()),
                self._gained.get(name, _EffectShare()),
            )
            yield Effect(
                datasource=name,
                lost=lost.count,
                lost_interval=lost.interval,
                gained=gained.count,
                gained_interval=gained.interval,
            )


def _by_size(effect: Effect) -> tuple[int, int, str]:
    return -effect.lost, -effect.gained, effect.datasource


def _interval(row: Segment) -> Interval:
    return interval_or_eternity(row.start, row.end)
