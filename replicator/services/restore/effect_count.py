"""Counts what a restore does to the used segments of each datasource, before it is agreed to."""

from collections.abc import Iterator

import numpy as np

from replicator.model.druid.interval import interval_or_eternity
from replicator.model.fingerprint import key_hash
from replicator.model.inventory.ledger import KEY, Keys
from replicator.model.log.effects import EffectShare, EffectShares
from replicator.model.plans.plan import Effect
from replicator.model.row import Segment, key_of


class EffectCount:
    """Takes the target's segments that differ from a cut; workers count those that it has instead.

    16 bytes for each used segment whose row changes; nothing for those that come or go.
    """

    def __init__(self) -> None:
        self._gone, self._used = EffectShares(), bytearray()

    def surplus(self, row: Segment) -> None:
        """Take one that goes."""
        if row.used:
            self._gone.lose(row.datasource, interval_or_eternity(row.start, row.end))

    def stale(self, row: Segment) -> None:
        """Take one whose row changes."""
        if row.used:
            self._used += key_hash(key_of(row))

    def used(self) -> Keys:
        """Return the ascending key hashes of the used segments whose rows change."""
        return np.sort(np.frombuffer(bytes(self._used), KEY))

    def effects(self, come: EffectShares) -> tuple[Effect, ...]:
        """Return what goes and what comes, the largest losses first."""
        come.take(self._gone)
        return tuple(sorted(_effects(come), key=_by_size))


def _effects(shares: EffectShares) -> Iterator[Effect]:
    for name in shares.lost.keys() | shares.gained.keys():
        lost, gained = shares.lost.get(name, EffectShare()), shares.gained.get(name, EffectShare())
        yield Effect(
            datasource=name,
            lost=lost.count,
            lost_interval=lost.interval,
            gained=gained.count,
            gained_interval=gained.interval,
        )


def _by_size(effect: Effect) -> tuple[int, int, str]:
    return -effect.lost, -effect.gained, effect.datasource
