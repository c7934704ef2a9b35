"""Compares a ledger with a scan of a metadata store, as the scan goes on."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from replicator.model.inventory.ledger import (
    KEY,
    Keys,
    Ledger,
    Marks,
    Mask,
    Offsets,
    Standing,
    batch,
    empty,
    fold,
    same_rows,
)

_SEEN, _STALE, _HIDDEN = 1, 2, 4
NOTHING_LATER: Final[Mapping[bytes, Standing | None]] = MappingProxyType({})


class Comparison:
    """Holds a ledger against a scan of a metadata store, chunk by chunk, in one byte a row.

    `later` is the last word on some rows, None for one that is gone: it counts instead of the
    ledger's. So a few changes are compared without a second ledger that has them.
    """

    def __init__(
        self, ledger: Ledger, later: Mapping[bytes, Standing | None] = NOTHING_LATER
    ) -> None:
        self._layers = [_Layer(ledger)]
        if later:
            self._layers[0].hide(np.array([*later], KEY))
            self._layers.append(_Layer(_of_words(later)))

    def see(self, keys: Keys, marks: Marks) -> tuple[Mask, Mask]:
        """Take a chunk; return which of its rows the ledger does not know, and which differ."""
        unknown, stale = np.ones(len(keys), np.bool_), np.zeros(len(keys), np.bool_)
        for layer in self._layers:
            known, differs = layer.see(keys, marks)
            unknown &= ~known
            stale |= differs
        return unknown, stale

    def unseen(self) -> Offsets:
        """Return the offsets of the ledger's rows that no chunk held, in ascending order."""
        return np.sort(np.concatenate([one.ledger.offsets[one.unseen()] for one in self._layers]))

    def unseen_keys(self) -> Keys:
        """Return the key hashes of the same, in no order that means anything."""
        return np.concatenate([one.ledger.keys[one.unseen()] for one in self._layers])

    def lacking(self) -> Offsets:
        """Return the offsets of the ledger's rows that no chunk held with the same content."""
        return np.sort(np.concatenate([one.ledger.offsets[one.lacking()] for one in self._layers]))


class _Layer:
    """A ledger, and what a scan has shown of its rows so far."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._shown = np.zeros(len(ledger), np.uint8)
        """Of each row the sum of `_SEEN`, `_STALE` and `_HIDDEN`."""

    def hide(self, keys: Keys) -> None:
        """Leave out some rows, as if they were not there."""
        indexes = np.searchsorted(self.ledger.keys, keys)
        self._shown[indexes[same_rows(self.ledger.keys, indexes, keys)]] = _HIDDEN

    def see(self, keys: Keys, marks: Marks) -> tuple[Mask, Mask]:
        """Return which rows of a chunk are known here, and which of these differ."""
        indexes = np.searchsorted(self.ledger.keys, keys)
        known = same_rows(self.ledger.keys, indexes, keys)
        known[known] = self._shown[indexes[known]] != _HIDDEN
        stale = known.copy()
        stale[known] = self.ledger.marks[indexes[known]] != marks[known]
        self._shown[indexes[known]] |= _SEEN
        self._shown[indexes[stale]] |= _STALE
        return known, stale

    def unseen(self) -> Mask:
        """Return which rows no chunk held."""
        return np.equal(self._shown, 0)

    def lacking(self) -> Mask:
        """Return which rows no chunk held with the same content."""
        return self.unseen() | np.not_equal(np.bitwise_and(self._shown, _STALE), 0)


def _of_words(later: Mapping[bytes, Standing | None]) -> Ledger:
    """Return a ledger of those rows that are not gone."""
    there = [(key, word.fingerprint, word.offset) for key, word in later.items() if word]
    return fold(empty(), batch([*there]))
