"""Observations, as values: the one source of log lines, progress bars and metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from replicator.model.checkpoint import Gap
from replicator.model.event import CutNumber, Epoch, Offset
from replicator.model.observed.faults import ArchiveDamaged, FileUnsigned, Halted, Waiting, WentOn
from replicator.model.operations.scheduled_run import RunRecord
from replicator.model.store.drill import Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochAcquired:
    """This process has become the only writer of the log, or of a target."""

    epoch: Epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class LogBegun:
    """The watcher found a log without records, or created it: a new history begins."""

    log_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPaused:
    """An applier pauses its target, or resumes it; other targets are not affected."""

    target: str
    why: str | None
    """Reason for the pause; None: the target is followed again."""


class Why(StrEnum):
    """Reason why a poll reads every row of the source, instead of the row versions."""

    START = "start"
    """The process has just started and has no previous poll."""
    DUE = "due"
    """Row versions are to be audited: the last full scan is too long ago."""
    BROKEN = "broken"
    """The source's row versions, or its binary log, do not continue the previous poll's."""
    WRITTEN = "written"
    """By the source's binary log, a row may have been written since the last poll."""
    UNAVAILABLE = "unavailable"
    """The source has no trustworthy row versions."""
    DISTRUSTED = "distrusted"
    """Row versions have missed a change."""
    OFF = "off"
    """The configuration turns row versions off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanBegun:
    """A poll reads every row; reported once while the reason stays the same."""

    why: Why
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsMissed:
    """A scan of every row found a change that row versions missed: they are no longer trusted."""

    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBegun:
    """From now on each commit of the source becomes a cut, and no row is scanned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnded:
    """The source is polled although a change stream is configured."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDropped:
    """The change stream was dropped because the source kept too much for it."""

    bytes: int
    bytes_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRetained:
    """Size of what the source keeps for the change stream while it is not read."""

    bytes: int
    bytes_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFollowed:
    """The change stream was read."""

    messages: int
    """Number of messages from the source; 0: nothing has happened."""
    told_until: datetime | None
    """The log has everything that the source had committed by then; None: the read was partial."""
    behind_bytes: int
    """Size of the source's write-ahead log that was not read yet."""
    retained_bytes: int
    retained_bytes_max: int
    read_s: float
    """Time from the request to the end of the last cut, if there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polled:
    """The source answered a poll, whether or not anything had changed."""

    scanned_rows: int
    fingerprinted_rows: int
    """Number of scanned rows whose contents the source's database had to read."""
    full: bool
    """Whether every row was scanned."""
    poll_s: float
    """Duration of the poll, in seconds, up to the end of the cut if there was one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutPublished:
    """A poll's changes are in the log."""

    cut: CutNumber
    offset: Offset
    events: int
    types: Mapping[str, int]
    """Number of events by type, including the one that closes the cut."""
    scanned_rows: int
    poll_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectCopied:
    """A segment's bytes are in the target's deep storage."""

    location: str
    size_bytes: int
    reused: bool
    """True if the bytes were there already."""
    streamed: bool
    """Whether the bytes passed through this process; otherwise the storage copied them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutApplied:
    """The target is at a cut now."""

    cut: CutNumber
    offset: Offset
    rows: int
    source_time: datetime
    is_filling: bool = False
    """Whether the target had no cut before, and was filled completely."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """An applier has done everything that was due; its target is paused, or has nothing to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Muted:
    """A process could not write its heartbeat; its work continues."""

    who: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GapOpened:
    """The target cannot have a row any more."""

    gap: Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class GapHealed:
    """The bytes of a row with a gap were copied after all; the target has the row now."""

    gap: Gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Progress of a long piece of work."""

    what: str
    done: int
    total: int | None
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseWritten:
    """A target keeps the whole inventory of a cut in its store."""

    cut: CutNumber
    offset: Offset
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryMerged:
    """Small files of a target's history became larger ones, or were deleted after that."""

    small: int
    """Files whose contents are in the new ones, too."""
    merged: int
    """New files."""
    deleted: int
    """Files that had been merged before, and are gone now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillEnded:
    """A drill of a target came to an end, good or bad."""

    evidence: Evidence | None
    """Evidence of the drill; None if the drill failed, for the reason in `failure`."""
    failure: str | None

    @property
    def is_good(self) -> bool:
        """Whether all of the cut came back, and was proved."""
        return self.evidence is not None and self.evidence.is_good


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSent:
    """An attempt to deliver a notification has ended."""

    webhook: str
    id: str
    type: str
    error: str
    """Why it failed; empty: it has arrived."""
    is_dead: bool
    """Whether it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationsQueued:
    """How many notifications of a webhook wait, and how many were given up."""

    webhook: str
    waiting: int
    dead: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchCalled:
    """The dead man's switch was called: all promises are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledRunEnded:
    """A run of a schedule has ended, or was skipped."""

    kind: str
    """What the schedule does: `expire`, `verify` and so on."""
    record: RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSeen:
    """A look at one schedule of one target."""

    schedule: str
    target: str
    next_due: datetime
    last_good: datetime | None
    """When its last good run ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryArrived:
    """A row of the canary is in the answers of a standby."""

    target: str
    seconds: float
    """Time since the row first was in an answer of the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanarySeen:
    """A look at the canary of a standby."""

    target: str
    waiting_s: float
    """Time for which the oldest row that has not arrived was awaited; 0: none is."""
    lost: int


StreamObservation: TypeAlias = (
    StreamBegun | StreamEnded | StreamDropped | StreamRetained | StreamFollowed
)
"""What is observed of a change stream."""

Observation: TypeAlias = (
    EpochAcquired
    | LogBegun
    | TargetPaused
    | ScanBegun
    | VersionsMissed
    | StreamObservation
    | Polled
    | CutPublished
    | ObjectCopied
    | CutApplied
    | Followed
    | Muted
    | GapOpened
    | GapHealed
    | Waiting
    | Halted
    | WentOn
    | Progress
    | ArchiveDamaged
    | FileUnsigned
    | BaseWritten
    | HistoryMerged
    | DrillEnded
    | NotificationSent
    | NotificationsQueued
    | CanaryArrived
    | CanarySeen
    | ScheduleSeen
    | ScheduledRunEnded
    | SwitchCalled
)
Observer: TypeAlias = Callable[[Observation], None]
"""Called on the event loop: must not block and must not raise."""
