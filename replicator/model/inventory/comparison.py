"""Compares a ledger with a scan of a metadata store while the scan runs."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from replicator.model.inventory.ledger import (
    KEY,
    Keys,
    KnownRow,
    Ledger,
    Marks,
    Mask,
    Offsets,
    batch,
    empty,
    fold,
    same_rows,
)

_SEEN, _STALE, _HIDDEN = 1, 2, 4
NOTHING_LATER: Final[Mapping[bytes, KnownRow | None]] = MappingProxyType({})


class Comparison:
    """Compares a ledger with a scan of a metadata store, chunk by chunk, with one byte per row.

    `later` has newer states of some rows, None for a removed one, which replace the ledger's. So a
    few changes are compared without a second ledger that includes them.
    """

    def __init__(
        self, ledger: Ledger, later: Mapping[bytes, KnownRow | None] = NOTHING_LATER
    ) -> None:
        self._layers = [_Layer(ledger)]
        if later:
            self._layers[0].hide(np.array([*later], KEY))
            self._layers.append(_Layer(_ledger_of(later)))

    def see(self, keys: Keys, marks: Marks) -> tuple[Mask, Mask]:
        """Add a chunk; return which of its rows the ledger does not have, and which differ."""
        unknown, stale = np.ones(len(keys), np.bool_), np.zeros(len(keys), np.bool_)
        for layer in self._layers:
            known, differs = layer.see(keys, marks)
            unknown &= ~known
            stale |= differs
        return unknown, stale

    @property
    def has_twins(self) -> bool:
        """Whether the chunks contained a row of the ledger more than once."""
        return any(layer.seen > np.count_nonzero(layer.shown & _SEEN) for layer in self._layers)

    def unseen(self) -> Offsets:
        """Return the offsets of the ledger's rows that no chunk contained, in ascending order."""
        return np.sort(np.concatenate([one.ledger.offsets[one.unseen()] for one in self._layers]))

    def unseen_keys(self) -> Keys:
        """Return these rows' key hashes, in arbitrary order."""
        return np.concatenate([one.ledger.keys[one.unseen()] for one in self._layers])

    def lacking(self) -> Offsets:
        """Return the offsets of the ledger's rows that no chunk contained unchanged."""
        return np.sort(np.concatenate([one.ledger.offsets[one.lacking()] for one in self._layers]))


class _Layer:
    """A ledger, and which of its rows a scan has seen so far."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.shown = np.zeros(len(ledger), np.uint8)
        """The flags `_SEEN`, `_STALE` and `_HIDDEN` of each row."""
        self.seen = 0
        """How many times a row was seen."""

    def hide(self, keys: Keys) -> None:
        """Exclude some rows, as if the ledger did not have them."""
        indexes = np.searchsorted(self.ledger.keys, keys)
        self.shown[indexes[same_rows(self.ledger.keys, indexes, keys)]] = _HIDDEN

    def see(self, keys: Keys, marks: Marks) -> tuple[Mask, Mask]:
        """Return which rows of a chunk this ledger has, and which of these differ."""
        indexes = np.searchsorted(self.ledger.keys, keys)
        known = same_rows(self.ledger.keys, indexes, keys)
        known[known] = self.shown[indexes[known]] != _HIDDEN
        stale = known.copy()
        stale[known] = self.ledger.marks[indexes[known]] != marks[known]
        self.seen += int(known.sum())
        self.shown[indexes[known]] |= _SEEN
        self.shown[indexes[stale]] |= _STALE
        return known, stale

    def unseen(self) -> Mask:
        """Return which rows no chunk contained."""
        return np.equal(self.shown, 0)

    def lacking(self) -> Mask:
        """Return which rows no chunk contained unchanged."""
        return self.unseen() | np.not_equal(np.bitwise_and(self.shown, _STALE), 0)


def _ledger_of(later: Mapping[bytes, KnownRow | None]) -> Ledger:
    """Return a ledger of the rows that were not removed."""
    there = [(key, row.fingerprint, row.offset) for key, row in later.items() if row]
    return fold(empty(), batch([*there]))
