"""What changed rows do to the used segments of each datasource, summed up by workers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from replicator.model.druid.interval import Interval

UNNAMED = "?"
"""Stands for the datasource of a segment whose row does not tell it."""


@dataclass(slots=True)
class EffectShare:
    """Segments of one datasource, and the time from the first to the last of them."""

    count: int = 0
    interval: Interval | None = None

    def add(self, interval: Interval | None, count: int = 1) -> None:
        """Count segments within an interval; None: there are none."""
        self.count += count
        if (known := self.interval) is None:
            self.interval = interval
        elif interval is not None and not (
            known.start_ms <= interval.start_ms and interval.end_ms <= known.end_ms
        ):
            self.interval = Interval(
                min(known.start_ms, interval.start_ms), max(known.end_ms, interval.end_ms)
            )


@dataclass(slots=True)
class EffectShares:
    """Segments by datasource that are no longer used, and those that were not used before."""

    lost: dict[str, EffectShare] = field(default_factory=dict)
    gained: dict[str, EffectShare] = field(default_factory=dict)

    def lose(self, datasource: str, interval: Interval) -> None:
        """Count a segment that was used."""
        _add(self.lost, datasource, interval, 1)

    def gain(self, datasource: str, interval: Interval) -> None:
        """Count a segment that was not used."""
        _add(self.gained, datasource, interval, 1)

    def take(self, other: EffectShares) -> None:
        """Add what was counted elsewhere."""
        _take(self.lost, other.lost.items())
        _take(self.gained, other.gained.items())


def _take(shares: dict[str, EffectShare], others: Iterable[tuple[str, EffectShare]]) -> None:
    for datasource, other in others:
        _add(shares, datasource, other.interval, other.count)


def _add(
    shares: dict[str, EffectShare], datasource: str, interval: Interval | None, count: int
) -> None:
    if (share := shares.get(datasource)) is None:
        shares[datasource] = share = EffectShare()
    share.add(interval, count)
