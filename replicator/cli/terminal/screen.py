"""Output while a verb runs: log lines on stderr, and progress bars on a terminal."""

from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeAlias, assert_never

from replicator.adapters.machine.clock import SystemClock
from replicator.cli.terminal.console import SHOWN, Paper
from replicator.cli.terminal.cut_lines import CutLines, Warned
from replicator.cli.terminal.job_channel import job_channel
from replicator.cli.terminal.log_lines import logger
from replicator.cli.terminal.pace import Paces
from replicator.model.checkpoint import Gap
from replicator.model.observation import (
    BaseWritten,
    CanaryArrived,
    CanarySeen,
    CutApplied,
    CutPublished,
    DrillEnded,
    EpochAcquired,
    Followed,
    GapHealed,
    GapOpened,
    HistoryMerged,
    LogBegun,
    Muted,
    NotificationSent,
    NotificationsQueued,
    ObjectCopied,
    Observation,
    Observer,
    Polled,
    ScanBegun,
    ScheduledRunEnded,
    ScheduleSeen,
    StreamBegun,
    StreamDropped,
    StreamEnded,
    StreamFollowed,
    StreamRetained,
    SwitchCalled,
    TargetPaused,
    VersionsMissed,
    Why,
)
from replicator.model.observation import Progress as ProgressMade
from replicator.model.observed.faults import ArchiveDamaged, FileUnsigned, Halted, Waiting, WentOn
from replicator.model.operations.scheduled_run import RunState
from replicator.model.operations.shown import printable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

NEW_LOG = "if there was one, stop now: is its volume mounted? targets of the former refuse this one"
MISSED = (
    "this poll has found them, and every poll reads every row from now on: report it with the"
    " versions of this and of the source's database; --trust-row-versions ends that"
)
SEND_AGAIN = "mend the webhook, then type `replicator notifications resend`"
SILENT: Final = (
    Polled,
    Followed,
    SwitchCalled,
    NotificationsQueued,
    ScheduleSeen,
    StreamRetained,
    StreamFollowed,
    CanaryArrived,
    CanarySeen,
)
"""Observations that only metrics count."""
DROPPED = (
    "the source's disk is safe, and no change is lost: polls find them. When what held up the"
    " watcher is mended, `replicator stream create` starts the stream again"
)


_Done: TypeAlias = (
    CutPublished
    | CutApplied
    | BaseWritten
    | HistoryMerged
    | DrillEnded
    | NotificationSent
    | ScheduledRunEnded
)


class Screen:
    """An observer that shows observations."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Paper(stderr=True)
        self._bars = self._console.is_terminal and not quiet
        self._progress: Progress | None = None
        self._lines: dict[str, CutLines] = {}
        self._tasks: dict[str, TaskID] = {}
        self._paces = Paces()
        self._follows = False
        self.copied_bytes = 0
        self.copied_objects = 0
        self.reused_objects = 0
        self.gaps: list[Gap] = []
        """Gaps that were opened."""
        self._names_gaps_later = False
        self._unnamed: list[tuple[str | None, GapOpened]] = []

    def __enter__(self) -> Self:
        SHOWN.append(self)
        return self

    def follow(self) -> None:
        """Log completed work from now on; a verb that ends reports it in its result instead."""
        self._follows = True

    def name_gaps_later(self) -> None:
        """Do not log gaps, because the verb's result names them; log them if the verb fails.

        An operator who reads both would count them twice.
        """
        self._names_gaps_later = True

    @property
    def is_moving(self) -> bool:
        """Whether bars are being drawn, ten times a second, over other output."""
        return self._progress is not None and self._progress.live.is_started

    def hold_still(self) -> None:
        """Remove the bars until there is progress again."""
        if self._progress is not None:
            self._progress.stop()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        SHOWN.remove(self)
        self.hold_still()
        for target, gap in self._unnamed if exc is not None else ():
            _warn(target, gap)
        for lines in self._lines.values():
            lines.retries.end(lines.target)

    def of(self, target: str) -> Observer:
        """Return the observer of one target's services."""
        lines = self._lines.setdefault(target, CutLines(target, SystemClock()))
        return partial(self._observe, lines)

    def observe(self, observation: Observation) -> None:
        """Show one observation of the watcher, or of no particular service."""
        self._observe(self._lines.setdefault("", CutLines(None, SystemClock())), observation)

    def _observe(self, lines: CutLines, observation: Observation) -> None:
        if isinstance(observation, SILENT):
            return
        match observation:
            case EpochAcquired():
                lines.began()
            case (
                LogBegun()
                | TargetPaused()
                | Muted()
                | GapHealed()
                | ScanBegun()
                | VersionsMissed()
                | StreamBegun()
                | StreamEnded()
                | StreamDropped()
            ):
                self.hold_still()
                _announce(observation)
            case (
                CutPublished()
                | CutApplied()
                | BaseWritten()
                | HistoryMerged()
                | DrillEnded()
                | NotificationSent()
                | ScheduledRunEnded()
            ):
                self._tell_done(lines, observation)
            case ObjectCopied():
                lines.copied(observation)
                self._count(observation)
            case ProgressMade():
                self._advance(observation)
            case GapOpened() | Waiting() | Halted() | WentOn() | ArchiveDamaged() | FileUnsigned():
                self._warned(lines, observation)
            case _:
                assert_never(observation)

    def _tell_done(self, lines: CutLines, observation: _Done) -> None:
        """Log completed work of a verb that follows; a verb that ends reports it in its result."""
        if self._follows:
            self.hold_still()
        match observation:
            case CutPublished() | CutApplied() | BaseWritten() | HistoryMerged():
                _tell_cut(lines, observation, quiet=not self._follows)
            case DrillEnded() if not self._follows:
                pass
            case DrillEnded() | NotificationSent() | ScheduledRunEnded():
                self.hold_still()
                _tell_ended(observation)
            case _:
                assert_never(observation)

    def _warned(self, lines: CutLines, found: Warned) -> None:
        if isinstance(found, GapOpened):
            self.gaps.append(found.gap)
            if self._names_gaps_later and found.gap.closed is None:
                self._unnamed.append((lines.target, found))
                return
        if isinstance(found, Waiting) and found.is_part:
            if lines.retries.tell(lines.target, found, self._console.get_time()):
                self.hold_still()
            return
        if not lines.is_due(found, self._console.get_time()):
            return
        self.hold_still()
        lines.retries.end(lines.target)
        _warn(lines.target, found)

    def _count(self, copied: ObjectCopied) -> None:
        if copied.reused:
            self.reused_objects += 1
            return
        self.copied_objects += 1
        self.copied_bytes += copied.size_bytes

    def _advance(self, made: ProgressMade) -> None:
        ends = made.total is not None and made.done >= made.total
        if (channel := job_channel()) is not None:
            channel.progress(made)
        if self._bars:
            self._bar(made, ends=ends)
            return
        if (values := self._paces.line(made, self._console.get_time())) is not None:
            logger().info("progress", **values)

    def _bar(self, made: ProgressMade, *, ends: bool) -> None:
        if self._progress is None:
            from replicator.cli.terminal.bars import bars  # noqa: PLC0415 - see there

            self._progress = bars(self._console)
        if not self.is_moving:
            self._progress.start()
        copied = f"{self.copied_bytes / 1_000_000:.1f} MB copied" if self.copied_bytes else ""
        if made.what not in self._tasks:
            self._tasks[made.what] = self._progress.add_task(
                printable(made.what), total=made.total, unit=made.unit, copied=copied
            )
        task = self._tasks[made.what]
        self._progress.update(task, completed=made.done, total=made.total, copied=copied)
        if ends:
            self._progress.remove_task(self._tasks.pop(made.what))


_Announced: TypeAlias = (
    LogBegun
    | TargetPaused
    | Muted
    | GapHealed
    | ScanBegun
    | VersionsMissed
    | StreamBegun
    | StreamEnded
    | StreamDropped
)


def _announce(observation: _Announced) -> None:
    match observation:
        case StreamBegun() | StreamEnded() | StreamDropped():
            _announce_stream(observation)
        case ScanBegun() | VersionsMissed():
            _announce_scan(observation)
        case Muted(who=who, reason=reason):
            logger().warning("`status` cannot see that this runs", who=who, reason=reason)
        case GapHealed(gap=gap):
            logger().info("gap closed: its bytes are there", row=gap.words, offset=gap.opened)
        case LogBegun(log_id=log_id):
            logger().warning("a new log begins", log_id=log_id, hint=NEW_LOG)
        case TargetPaused(target=target, why=None):
            logger().info("target is taken up again", target=target)
        case TargetPaused(target=target, why=why):
            logger().warning("target is left alone, all else goes on", target=target, why=why)
        case _:
            assert_never(observation)


def _announce_scan(observation: ScanBegun | VersionsMissed) -> None:
    match observation:
        case ScanBegun(why=Why.UNAVAILABLE, detail=detail):
            logger().warning("no row versions: each poll reads every row", why=detail)
        case ScanBegun(why=Why.WRITTEN, detail=detail):  # as often as the source writes
            logger().debug("this poll reads every row", why=detail)
        case ScanBegun(why=why, detail=detail):
            logger().info("this poll reads every row", why=str(why), detail=detail)
        case VersionsMissed(rows=rows):
            logger().error("row versions missed changes", rows=rows, hint=MISSED)
        case _:
            assert_never(observation)


def _announce_stream(observation: StreamBegun | StreamEnded | StreamDropped) -> None:
    match observation:
        case StreamBegun():
            logger().info("the change stream goes on: each commit becomes a cut")
        case StreamEnded(reason=reason):
            logger().warning("no change stream, the source is polled", why=reason)
        case StreamDropped(bytes=size, bytes_max=size_max):
            logger().error(
                "the replication slot was dropped", retained=size, limit=size_max, hint=DROPPED
            )
        case _:
            assert_never(observation)


def _tell_cut(
    lines: CutLines,
    observation: CutPublished | CutApplied | BaseWritten | HistoryMerged,
    *,
    quiet: bool,
) -> None:
    lines.retries.over(lines.target)
    if isinstance(observation, CutPublished | CutApplied):
        lines.reasons.over()
    match observation:
        case CutPublished():
            lines.published(observation, quiet=quiet)
        case CutApplied():
            lines.applied(observation, quiet=quiet)
        case BaseWritten():
            lines.based(observation, quiet=quiet)
        case HistoryMerged():
            lines.merged(observation, quiet=quiet)
        case _:
            assert_never(observation)


def _tell_ended(observation: DrillEnded | NotificationSent | ScheduledRunEnded) -> None:
    match observation:
        case DrillEnded():
            _tell_drill(observation)
        case NotificationSent():
            _tell_sent(observation)
        case ScheduledRunEnded():
            _tell_run(observation)
        case _:
            assert_never(observation)


def _tell_run(ended: ScheduledRunEnded) -> None:
    run = ended.record
    values = {"schedule": run.schedule, "verb": ended.kind, "target": run.target}
    values["due"] = run.due.isoformat()
    match run.state:
        case RunState.GOOD:
            logger().info("scheduled run was good", **values)
        case RunState.SKIPPED:
            logger().warning("scheduled run skipped", **values, reason=run.message)
        case _:
            logger().error(
                "scheduled run was bad", **values, reason=run.message, code=run.exit_code
            )


def _tell_drill(ended: DrillEnded) -> None:
    found = ended.evidence
    if found is None or found.rehearsed is None:
        logger().error("drill failed", reason=ended.failure)
        return
    values = {
        "target": found.target,
        "offset": found.rehearsed.offset,
        "rows": found.rehearsed.rows,
    }
    if ended.is_good:
        logger().info("drill passed", **values, recovery_s=round(found.recovery_s, 3))
    else:
        logger().error(
            "drill failed", **values, findings=found.findings_count, first=found.findings[:1]
        )


def _tell_sent(sent: NotificationSent) -> None:
    values = {"webhook": sent.webhook, "type": sent.type, "id": sent.id}
    if not sent.error:
        logger().info("notification delivered", **values)
    elif sent.is_dead:
        logger().error("notification given up", **values, reason=sent.error, hint=SEND_AGAIN)
    else:
        logger().warning("notification not delivered yet", **values, reason=sent.error)


def _warn(target: str | None, observation: Warned) -> None:
    of = {} if target is None else {"target": target}
    match observation:
        case GapOpened(gap=gap):
            values = {"row": gap.words, "reason": gap.reason, "detail": gap.detail}
            logger().warning("gap", **of, **values, offset=gap.opened)
        case Waiting(what=what, reason=reason, delay_s=delay_s):
            logger().warning("waiting", **of, what=what, reason=reason, delay_s=round(delay_s, 1))
        case Halted(what=what, reason=reason, hint=hint, retry_s=retry_s, traceback=traceback):
            values = {"what": what, "reason": reason, "hint": hint}
            if traceback:
                values["traceback"] = traceback
            logger().error("halted", **of, **values, looks_again_s=round(retry_s, 1))
        case WentOn(what=what):
            logger().info("goes on", **of, what=what)
        case ArchiveDamaged(reason=reason):
            logger().error("archive damaged", **of, reason=reason)
        case FileUnsigned(name=name):
            logger().warning("file is not signed", **of, file=name)
        case _:
            assert_never(observation)
