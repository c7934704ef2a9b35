"""A target's own state, stored with its rows."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from typing import Annotated, Final

from replicator.model.document import HEXADECIMAL, NATURAL, Name, Time
from replicator.model.event import CutNumber, Epoch, Offset
from replicator.model.fingerprint import Digest
from replicator.model.row import Kind, RowKey

FORMER_PAUSED: Final = "standing"
"""What `paused` was called in what builds before the first release have stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The cut that a target is at."""

    source: str
    log_id: Name
    offset: Annotated[Offset, NATURAL]
    """Offset of the record that closes the cut."""
    cut: Annotated[CutNumber, NATURAL]
    source_time: Time
    digest: Annotated[Digest, HEXADECIMAL]
    """Digest of the source's inventory at the cut."""
    paused: bool
    """True after a restore in place: the target stays at this cut until it is resumed."""
    promoted: bool = False
    """True once the target became a primary: its source's changes are not written any more."""
    datasource: str | None = None
    """The only datasource at this cut, after a restore of one datasource; None: all are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetState:
    """A checkpoint with the epoch that wrote it, and its time."""

    checkpoint: Checkpoint | None
    """Cut that the target is at; None: nothing was applied yet."""
    epoch: Epoch
    applied_at: datetime | None
    store: str | None = None
    """Id of the store with the bytes of the target's rows; None: no writer has recorded it."""

    def reached_in(self, log_id: str) -> Offset | None:
        """Return the target's offset in a log; None: it is at no cut of this log."""
        if self.checkpoint is None or self.checkpoint.log_id != log_id:
            return None
        return self.checkpoint.offset


KILLED_BEFORE_COPIED = "killed_before_copied"
OBJECT_MISSING = "object_missing"
OBJECT_CHANGED = "object_changed"
OBJECT_TRUNCATED = "object_truncated"
OBJECT_ARCHIVED = "object_archived"
OBJECT_DENIED = "object_denied"
OBJECT_UNREADABLE = "object_unreadable"
OBJECT_REWRITTEN = "object_rewritten"
PLACE_REFUSED = "place_refused"
MALFORMED_ROW = "malformed_row"
NEWER_RELEASE = "newer_release"
ROW_UNFIT = "row_unfit"
GAP_REASONS = (
    KILLED_BEFORE_COPIED,
    OBJECT_MISSING,
    OBJECT_CHANGED,
    OBJECT_TRUNCATED,
    OBJECT_ARCHIVED,
    OBJECT_DENIED,
    OBJECT_UNREADABLE,
    OBJECT_REWRITTEN,
    PLACE_REFUSED,
    MALFORMED_ROW,
    NEWER_RELEASE,
    ROW_UNFIT,
)
MENDABLE = frozenset(
    {
        OBJECT_MISSING,
        OBJECT_TRUNCATED,
        OBJECT_ARCHIVED,
        OBJECT_DENIED,
        OBJECT_UNREADABLE,
        OBJECT_REWRITTEN,
        PLACE_REFUSED,
        ROW_UNFIT,
    }
)
"""Reasons that pass when an operator mends a storage or a table: a retry then closes the gap."""
REMEDIES = {
    OBJECT_MISSING: "bring the bytes back there (mount, bucket, lifecycle rule), then `repair`",
    OBJECT_TRUNCATED: "let the source load the segment; if it cannot, ingest it again",
    OBJECT_CHANGED: "compact its interval at the source, or ingest it again: segments of a new"
    " version are copied, and close the gap",
    OBJECT_REWRITTEN: "find out which program writes there; once it has ended, `repair`",
    MALFORMED_ROW: "look at the row's payload at the source",
    NEWER_RELEASE: "upgrade the target's Druid, then `repair`",
}
"""Remedies of the reasons whose errors have no hint of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A row that a target cannot have, from one cut to another."""

    kind: Kind = Kind.SEGMENT
    key: str
    datasource: str
    reason: str
    """Why the bytes or the row are missing, one of `GAP_REASONS`."""
    detail: str
    opened: Annotated[Offset, NATURAL]
    """Offset of the event that needs the row."""
    closed: Annotated[Offset, NATURAL] | None = None
    """Offset of the first cut that does not need it any more; None: still open."""

    @property
    def words(self) -> str:
        """What the row is, as `RowKey.words` says it."""
        return RowKey(self.kind, self.key).words(self.datasource)

    def at(self, offset: Offset) -> bool:
        """Return whether the cut closed at `offset` has this gap."""
        return self.opened <= offset and (self.closed is None or offset < self.closed)


def newest(gaps: Iterable[Gap], gaps_max: int) -> list[Gap]:
    """Return the newest gaps, in their order."""
    found = nlargest(gaps_max, gaps, key=lambda gap: gap.opened)
    return sorted(found, key=lambda gap: gap.opened)


def changed_rows(gaps: Iterable[Gap]) -> frozenset[RowKey]:
    """Return the rows whose location on a target held other bytes than the source had, and may."""
    return frozenset(
        RowKey(gap.kind, gap.key)
        for gap in gaps
        if gap.reason == OBJECT_CHANGED and gap.closed != gap.opened
    )


def merged(known: Iterable[Gap], changed: Iterable[Gap]) -> tuple[Gap, ...]:
    """Return all gaps of a target once some of them have changed."""
    found = {(gap.key, gap.opened): gap for gap in (*known, *changed)}
    return tuple(found.values())
