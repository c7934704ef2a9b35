"""Counts what a restore does to the used segments of each datasource, before it is agreed to."""

from collections.abc import Iterator
from dataclasses import dataclass

from replicator.model.druid.interval import Interval, interval_or_eternity
from replicator.model.fingerprint import key_hash
from replicator.model.inventory.ledger import Offsets
from replicator.model.log.peek import kind_of, subject_of
from replicator.model.plans.plan import Effect
from replicator.model.row import Kind, Segment, key_of
from replicator.services.history.reader import History

UNNAMED = "?"
"""Stands for the datasource of a segment whose id does not tell it."""


@dataclass(slots=True)
class _EffectShare:
    """Segments of one datasource, and the time from the first to the last of them."""

    count: int = 0
    interval: Interval | None = None

    def add(self, interval: Interval) -> None:
        """Count one more."""
        known = self.interval or interval
        self.count += 1
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

    async def of(self, history: History, picks: Offsets) -> tuple[Effect, ...]:
        """Return what the rows at these offsets of the log do, the largest losses first."""
        async for records in history.records(picks):
            for record in records:
                found = subject_of(record) if kind_of(record) is Kind.SEGMENT else None
                if found is None:
                    continue
                was_used = key_hash(found.row_key) in self._used
                if bool(found.used) != was_used:
                    shares = self._lost if was_used else self._gained
                    name = found.datasource or UNNAMED
                    shares.setdefault(name, _EffectShare()).add(found.interval)
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
