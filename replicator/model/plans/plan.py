"""Decisions as data: which records count and what is surplus, before anything is done.

A plan names records by their offsets instead of holding rows, so it stays small for any number of
segments; the executor streams the contents from the log.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.druid.interval import Interval
from replicator.model.event import Offset
from replicator.model.inventory.ledger import Keys, Offsets
from replicator.model.row import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Bytes first, then rows, then the checkpoint: a row never points at nothing."""

    picks: Offsets
    """Ascending offsets of the events whose rows the target must get or lose."""
    surplus: Mapping[Kind, Keys] = field(default_factory=dict)
    """Key hashes of rows that the target has and the cut does not."""
    without: frozenset[Offset] = frozenset()
    """Picked events whose rows the target cannot have: they must not exist there."""
    checkpoint: Checkpoint
    gaps: tuple[Gap, ...] = ()
    """Gaps to open, or to close, in the same transaction."""

    @property
    def is_empty(self) -> bool:
        """Whether the target already holds exactly what is wanted."""
        return not len(self.picks) and not any(len(keys) for keys in self.surplus.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a plan does to the used segments of one datasource: to what a query finds."""

    datasource: str
    lost: int = 0
    """Used segments that are removed, or are unused afterwards."""
    lost_interval: Interval | None = None
    """From the first to the last of them; None if none is lost, or an id does not tell."""
    gained: int = 0
    """Segments that are used afterwards and were not."""
    gained_interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a plan means, in the terms of the person who must agree to it."""

    segments: int = 0
    other_rows: int = 0
    removals: int = 0
    objects: int = 0
    size_bytes: int = 0
    """Sum of the payloads' `size`: bytes of the segments unpacked, an upper bound of the copies."""
    by_datasource: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[Gap, ...] = ()
    effects: tuple[Effect, ...] = ()
    """What each datasource loses and gains, the largest losses first."""


def latest_per_key(offsets: Offsets, keys: Keys) -> Offsets:
    """Return the offsets of the last event for each key, ascending."""
    order = np.lexsort((offsets, keys))
    keys = keys[order]
    last = np.ones(len(keys), np.bool_)
    last[:-1] = keys[1:] != keys[:-1]
    chosen: Offsets = np.sort(offsets[order[last]])
    return chosen
