"""What a target remembers about itself, beside its rows."""

from dataclasses import dataclass
from datetime import datetime

from replicator.model.event import CutNumber, Epoch, Offset
from replicator.model.fingerprint import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The cut that a target is at."""

    source: str
    log_id: str
    offset: Offset
    """Of the cut's `cut.closed` record."""
    cut: CutNumber
    source_time: datetime
    digest: Digest
    """Of the source's inventory at the cut."""
    standing: bool
    """True after a restore in place: stay at this cut until told to go on."""
    datasource: str | None = None
    """After a restore of one datasource: the only one that is at this cut; None: all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A checkpoint as it was read: by which epoch it was written, and when."""

    checkpoint: Checkpoint | None
    """None: nothing was applied yet."""
    epoch: Epoch
    applied_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A row that a target cannot have, from one cut to another."""

    key: str
    datasource: str
    reason: str
    """`killed_before_copied`, `object_missing`, `object_changed` or `malformed_row`."""
    detail: str
    opened: Offset
    """The event that asked for it."""
    closed: Offset | None = None
    """The first cut that does not need it any more; None: still open."""

    def at(self, offset: Offset) -> bool:
        """Return whether the cut closed at `offset` has this gap."""
        return self.opened <= offset and (self.closed is None or offset < self.closed)
