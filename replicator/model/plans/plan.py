"""Plans: the records to apply and the rows to remove, decided before anything is done.

A plan names records by their offsets and holds no rows, so that it stays small for any number of
segments; the executor reads the contents from the log.
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
    """Bytes first, then rows, then the checkpoint: no row ever points at missing bytes."""

    picks: Offsets
    """Ascending offsets of the events whose rows the target must have or must not have."""
    surplus: Mapping[Kind, Keys] = field(default_factory=dict)
    """Key hashes of rows that the target has and the cut does not have."""
    without: frozenset[Offset] = frozenset()
    """Offsets in `picks` of rows that the target cannot have, and that must not exist there."""
    checkpoint: Checkpoint
    gaps: tuple[Gap, ...] = ()
    """Gaps to open, or to close, in the same transaction."""

    @property
    def is_empty(self) -> bool:
        """Whether the target already has exactly these rows."""
        return not len(self.picks) and not any(len(keys) for keys in self.surplus.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Effect of a plan on the used segments of one datasource, and so on its queries."""

    datasource: str
    lost: int = 0
    """Number of used segments that are removed or marked unused."""
    lost_interval: Interval | None = None
    """Interval from the first to the last lost segment; None without any, or if ids lack it."""
    gained: int = 0
    """Number of segments that were not used before and are afterwards."""
    gained_interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Effect of a plan, in the terms of the operator who must agree to it."""

    segments: int = 0
    other_rows: int = 0
    removals: int = 0
    objects: int = 0
    size_bytes: int = 0
    """Sum of the payloads' `size`, the unpacked bytes: an upper bound of the copied bytes."""
    by_datasource: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[Gap, ...] = ()
    effects: tuple[Effect, ...] = ()
    """Effects on the datasources, the largest losses first."""


def latest_per_key(offsets: Offsets, keys: Keys) -> Offsets:
    """Return the offset of the last event of each key, ascending."""
    order = np.lexsort((offsets, keys))
    keys = keys[order]
    last = np.ones(len(keys), np.bool_)
    last[:-1] = keys[1:] != keys[:-1]
    chosen: Offsets = np.sort(offsets[order[last]])
    return chosen
