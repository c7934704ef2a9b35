"""`status`: shows processes, promises, restorable times, pending work, and what is wrong."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from replicator.app import Application
from replicator.app.verbs.schedules import schedule_states
from replicator.app.verbs.side_copies import mixed
from replicator.app.verbs.webhooks import webhook_queues
from replicator.cli.command import Changes, OpenCall, Outcome
from replicator.cli.terminal.paragraphs import Paragraph, paragraphs
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.cli.verb import verb
from replicator.config import Settings
from replicator.errors import ReplicatorError, TransientError
from replicator.model.event import Offset
from replicator.model.operations.command_line import typed
from replicator.model.operations.scheduled_run import RunState
from replicator.model.operations.words import (
    age_text,
    counted,
    duration_text,
    enumerated,
    eta_text,
    moment,
    size_text,
    whole_time,
)
from replicator.services.history.reader import History
from replicator.services.monitoring.drops import RecentDrop, recent_drops
from replicator.services.monitoring.life import Life, LifeSign, LifeSigns
from replicator.services.monitoring.status import (
    LogStatus,
    Pending,
    SourceStatus,
    StatusReader,
    TargetStatus,
    look_at_source,
)
from replicator.services.monitoring.trouble import Seen, Trouble, drill_words, kill_words, within
from replicator.services.running.patience import Patience
from replicator.services.store.windows import Windows
from replicator.web.status_report import StatusReport, report_json

if TYPE_CHECKING:
    from replicator.model.store.canary import CanarySummary
    from replicator.services.schedules.states import LineState

WRONG = 10


@verb("status", changes=Changes.NEVER)
async def status(call: OpenCall) -> Outcome:
    """Show what runs, whether promises are kept, what can be restored, and what is wrong."""
    application, printed = call.application, call.typed.printed
    found = await _look(application)
    undone = {
        one.datasource: _undone(application.settings, printed, one) for one in found.drops or ()
    }
    return Outcome(
        result=report_json(found, partial(_typed, printed), undone),
        show=lambda console: _show(console, found, printed, undone),
        exit_code=_exit_code(found),
    )


async def _look(application: Application) -> StatusReport:
    """Look at everything; a part that cannot be read does not hide the others."""
    patience = Patience(application.settings.look_timeout_s)
    status_reader = application.status_reader()
    log = await _log_or_why(patience, status_reader)
    if log.unknown:  # perhaps only a store is away, and the log itself can be read
        status_reader = application.status_reader(stores=False)
        log = await _log_or_why(patience, status_reader)
    targets = _Targets(application, status_reader, log)
    await targets.look(patience)
    seen = Seen(
        life=await application.processes.life(log),
        source=await _source_or_why(patience, application),
        log=log,
        targets=targets.found,
        failures=targets.failures,
    )
    return StatusReport(
        seen=seen,
        restorable=targets.restorable,
        schedules=await schedule_states(application),
        canaries=await _canaries(application, targets.names_seen),
        webhooks=await webhook_queues(application),
        drops=await _drops(application, status_reader.history),
        mixed=await mixed(application, targets.names_seen),
    )


async def _log_or_why(patience: Patience, status_reader: StatusReader) -> LogStatus:
    try:
        return await patience.answer("the log", status_reader.log_or_why)
    except TransientError as exc:
        return LogStatus(log_id="", records=0, last=None, first=Offset(0), failure=exc)


async def _source_or_why(patience: Patience, application: Application) -> SourceStatus:
    source = application.source.metadata()
    try:
        return await patience.answer("the source", partial(look_at_source, source))
    except TransientError as exc:
        return SourceStatus(freshness=None, unknown=str(exc))


class _Targets:
    """A look at all targets side by side: one that hangs does not hide the others."""

    def __init__(
        self, application: Application, status_reader: StatusReader, log: LogStatus
    ) -> None:
        self._application, self._status_reader, self._log = application, status_reader, log
        self._found: dict[str, TargetStatus] = {}
        self._windows: dict[str, Windows] = {}
        self._failures: dict[str, ReplicatorError] = {}

    async def look(self, patience: Patience) -> None:
        await patience.targets(
            self._application.target_names, self._read, self._failures.__setitem__
        )

    async def _read(self, name: str) -> None:
        application, log = self._application, self._log
        found = await application.target_status(self._status_reader, name, log)
        self._found[name] = found
        if log_id := log.log_id or (found.checkpoint.log_id if found.checkpoint else ""):
            self._windows[name] = await application.windows(name, log_id)

    @property
    def found(self) -> list[TargetStatus]:
        """What is known of the targets, in order of their names."""
        return [one for _, one in sorted(self._found.items())]

    @property
    def restorable(self) -> dict[str, Windows]:
        return dict(sorted(self._windows.items()))

    @property
    def failures(self) -> dict[str, ReplicatorError]:
        return dict(sorted(self._failures.items()))

    @property
    def names_seen(self) -> list[str]:
        """The targets that answered; what failed is not queried further."""
        return sorted(self._found.keys() - self._failures.keys())


async def _drops(application: Application, history: History) -> list[RecentDrop] | None:
    """Return recent drops; None if log or source cannot be read, which is reported as wrong."""
    try:
        return await recent_drops(history, application.source.metadata(), application.clock.now())
    except ReplicatorError:
        return None


def _undone(settings: Settings, printed: PrintedCommands, drop: RecentDrop) -> str:
    """Return the command that restores a dropped datasource."""
    clusters = [name for name, one in sorted(settings.targets.items()) if one.metadata is not None]
    where = f"--on {clusters[0]}" if clusters else "--on-source"
    return printed.command(typed("undelete", drop.datasource, where))


async def _canaries(application: Application, names: Sequence[str]) -> "list[CanarySummary]":
    """Return the canary's results for each target whose store can be read."""
    if application.settings.canary is None:
        return []
    from replicator.services.monitoring.canary import kept_canary  # noqa: PLC0415 - few have one

    found = []
    for name in names:
        with suppress(ReplicatorError):  # the target's own status reports it
            if (one := await kept_canary(application.target(name).area())) is not None:
                found.append(one)
    return found


def _exit_code(found: StatusReport) -> int:
    """Return 0 only if nothing is wrong: a cron job looks at the code alone."""
    seen = found.seen
    if not seen.keeps_promises:
        return WRONG
    log = [] if seen.log.failure is None else [seen.log.failure]
    if failures := [*log, *seen.failures.values()]:
        return max(error.exit_code for error in failures)
    return WRONG if found.wrong else 0


def _typed(printed: PrintedCommands, trouble: Trouble) -> str:
    """Return the command that helps; empty: none does."""
    return printed.command(trouble.remedy) if trouble.remedy else ""


def _show(
    console: Console, found: StatusReport, printed: PrintedCommands, undone: Mapping[str, str]
) -> None:
    wrong = [line for one in found.wrong for line in _wrong(one, printed)]
    shown = [
        Paragraph("running", _running(found.seen.life)),
        Paragraph("promises", _promises(found.seen)),
        Paragraph("restore", _restorable(found, printed)),
        Paragraph("waits", _waits(found.seen)),
        *([Paragraph("dropped", dropped)] if (dropped := _dropped(found, undone)) else []),
        Paragraph("wrong", wrong or ["nothing"]),
        *([Paragraph("schedules", scheduled)] if (scheduled := _schedules(found)) else []),
        *([Paragraph("canary", canaries)] if (canaries := _canary(found)) else []),
        *([Paragraph("webhooks", webhooks)] if (webhooks := _webhooks(found)) else []),
        Paragraph("source", _source(found.seen)),
        Paragraph("log", [_log(found.seen)]),
        *(Paragraph(one.target, _target(one, printed)) for one in found.seen.targets),
    ]
    for line in paragraphs(shown, console.width):
        console.print(line, markup=False)


def _running(life: LifeSigns) -> list[str]:
    """Return the running processes; appliers in the watcher's process share its lines."""
    lines = [_sign("watcher", life.watcher, life)]
    if life.watcher.life is not Life.RUNNING and life.last_poll is not None:
        lines.append(f"the source last answered {age_text(life.looked_at - life.last_poll)}")
    together = {name for name, one in life.appliers.items() if _is_same(one, life.watcher)}
    if together:
        applies = "applies" if life.watcher.life is Life.RUNNING else "applied"
        lines.append(f"the same process {applies} to {enumerated(sorted(together))}")
    never = {name for name, one in life.appliers.items() if one.pulse is None and not one.unknown}
    if never:
        lines.append(f"no applier is known for {enumerated(sorted(never))}")
    lines += [
        _sign(f"applier of {name}", one, life)
        for name, one in sorted(life.appliers.items())
        if name not in together | never
    ]
    return lines


def _is_same(one: LifeSign, other: LifeSign) -> bool:
    ours, theirs = one.pulse, other.pulse
    if ours is None or theirs is None or one.life is not other.life:
        return False
    return (ours.host, ours.pid, ours.verb) == (theirs.host, theirs.pid, theirs.verb)


def _sign(what: str, sign: LifeSign, life: LifeSigns) -> str:
    pulse = sign.pulse
    if pulse is None:
        why = f": {sign.unknown}" if sign.unknown else ": no heartbeat was ever seen"
        return f"{what}: not known to be running{why}"
    who, since = pulse.process, f"since {moment(pulse.since)}"
    did, never = (
        ("polled", "has not polled yet")
        if what == "watcher"
        else ("was up to date", "is not up to date yet")
    )
    last = f"{did} {_ago(life, pulse.done_at)}" if pulse.done_at else never
    waits = f", waits for {pulse.waits}" if pulse.waits else ""
    waits = ", HALTED, see below" if pulse.halts else waits
    match sign.life:
        case Life.RUNNING:
            return f"{what}: {who}, {since}, {last}{waits}"
        case Life.STOPPED if not pulse.goes_on:
            return f"{what}: none is running; {who} ended {_ago(life, pulse.seen_at)}"
        case Life.STOPPED:
            return f"{what}: NOT RUNNING; {who} stopped {_ago(life, pulse.seen_at)} on request"
        case _:
            return f"{what}: NOT RUNNING; {who} was last seen {_ago(life, pulse.seen_at)}{waits}"


def _ago(life: LifeSigns, time: datetime) -> str:
    return age_text(life.looked_at - time)


def _promises(seen: Seen) -> list[str]:
    keeping = [one.target for one in seen.targets if one.keeps_promise]
    lines = [
        f"BROKEN by {one.target}: {', '.join(one.broken)}" for one in seen.targets if one.broken
    ]
    if seen.is_overdue and seen.is_poll_unknown:
        lines.insert(0, "NOT KNOWN whether a watcher polls the source: the log cannot be read")
    elif seen.is_overdue:
        lines.insert(0, "BROKEN: no watcher polls the source")
    elif seen.life.watcher.life is not Life.RUNNING and (left := seen.life.left(seen.targets)):
        lines.insert(0, f"nothing polls the source now; without a poll they break {within(left)}")
    looked_at = {one.target for one in seen.targets}
    lines += [f"{name}: not known" for name in sorted(seen.failures.keys() - looked_at)]
    if keeping:
        lines.append(f"kept by {enumerated(keeping)}")
    return lines or ["there is no target"]


def _restorable(found: StatusReport, printed: PrintedCommands) -> list[str]:
    """Return the times that each target's own store can restore."""
    lines = []
    for one in found.seen.targets:
        if one.target in found.seen.failures:
            continue
        points = found.restorable.get(one.target)
        if points is None or not points.windows:
            lines += _unrestorable(one.target, found, printed)
            continue
        last = points.windows[-1].last.closed.source_time
        first = points.windows[0].first.closed.source_time
        holes = "; with holes, see `replicator points`" if len(points.windows) > 1 else ""
        lines.append(
            f"{one.target}: to {whole_time(last)}, {age_text(one.looked_at - last)}, and back to"
            f" {whole_time(first)}{holes}"
        )
        lines += [f"{one.target}: DAMAGED: {fault}" for fault in points.faults]
    return [*lines, *(f"{name}: not known" for name in sorted(found.seen.failures))]


def _unrestorable(target: str, found: StatusReport, printed: PrintedCommands) -> list[str]:
    """Return that a store restores nothing, or that this is unknown without the log."""
    if not found.seen.log.unknown:
        return [f"{target}: nothing yet"]
    return [
        f"{target}: not known without the log; its store alone tells:",
        f"  {printed.command(f'points --from {target}')}",
    ]


def _waits(seen: Seen) -> list[str]:
    lines = []
    for found in seen.targets:
        pending = found.pending
        if pending is None or not found.lag_records:
            continue
        lines.append(
            f"{found.target}: {counted(found.lag_records, 'record')} of the log"
            f"{_bytes(pending)}: {_eta(found)}"
        )
        if found.kill_margin is not None:
            lines.append(f"{found.target}: {kill_words(found)}")
        if found.log_margin is not None:
            lines.append(f"{found.target}: the log keeps it for {duration_text(found.log_margin)}")
    return lines or ["not known: the log cannot be read" if seen.log.unknown else "nothing"]


def _bytes(pending: Pending) -> str:
    if not pending.objects:
        return ", no bytes"
    return f", {counted(pending.objects, 'segment')}, {size_text(pending.size_bytes)} at most"


def _eta(found: TargetStatus) -> str:
    if (eta := found.catch_up) is None:
        return eta_text(None)
    rate = found.rates.bytes_per_s
    at = f" at {size_text(int(rate))}/s" if rate is not None and _has_bytes(found) else ""
    return f"{eta_text(eta.total_seconds())}{at}"


def _has_bytes(found: TargetStatus) -> bool:
    return found.pending is not None and found.pending.objects > 0


def _wrong(trouble: Trouble, printed: PrintedCommands) -> list[str]:
    typed = _typed(printed, trouble)
    return [trouble.what, f"  type: {typed}"] if typed else [trouble.what]


def _dropped(found: StatusReport, undone: Mapping[str, str]) -> list[str]:
    """Return the datasources without used segments, each with the command that restores it."""
    lines = []
    for one in found.drops or ():
        closed = one.cut.closed
        ago = age_text(found.seen.life.looked_at - closed.source_time)
        lines.append(
            f"{one.datasource} has had no used segment since cut {closed.cut},"
            f" {whole_time(closed.source_time)}, {ago}"
        )
        lines.append(f"  to bring it back, type: {undone[one.datasource]}")
    return lines


def _canary(found: StatusReport) -> list[str]:
    """Return how long rows take until a standby's users see them."""
    lines = []
    for one in found.canaries:
        took = "no row has arrived yet"
        if one.p50_s is not None and one.p99_s is not None:
            p50, p99 = timedelta(seconds=one.p50_s), timedelta(seconds=one.p99_s)
            took = f"rows take {duration_text(p50)}, 99 of 100 at most {duration_text(p99)}"
        waits = f", one is awaited for {one.waiting_s:.0f} s" if one.waiting_s else ""
        lost = f", {one.lost} LOST" if one.lost else ""
        lines.append(f"{one.target}: {took}{waits}{lost}")
    return lines


def _schedules(found: StatusReport) -> list[str]:
    """Return each schedule's last and next run."""
    return [
        f"{one.line.schedule} ({one.line.kind}) of {one.line.target}: {_run(one)},"
        f" next {moment(one.next_due)}"
        for one in found.schedules
    ]


def _run(state: "LineState") -> str:
    if state.unknown:
        return f"not known: {state.unknown}"
    if (run := state.last) is None:
        return "has not run yet"
    ago = age_text(state.looked_at - (run.ended_at or run.started_at))
    why = f": {run.message}" if run.message else ""
    return {
        RunState.RUNNING: f"runs since {moment(run.started_at)}",
        RunState.GOOD: f"was good {ago}",
        RunState.BAD: f"WAS BAD {ago}{why}",
        RunState.SKIPPED: f"was skipped {ago}{why}",
        RunState.LOST: f"WAS LOST: its process on {run.host} ended without a word",
    }[run.state_at(state.looked_at)]


def _webhooks(found: StatusReport) -> list[str]:
    """Return each webhook's undelivered notifications, and the reason."""
    lines = []
    for one in found.webhooks:
        length = one.length
        counts = [f"{length.waiting} to go"] if length.waiting else []
        counts += [f"{length.dead} DEAD"] if length.dead else []
        why = one.unknown or length.error
        state = "not known" if one.unknown else ", ".join(counts) or "everything was delivered"
        lines.append(f"{one.webhook}: {state}" + (f": {why}" if why else ""))
    return lines


def _source(seen: Seen) -> list[str]:
    freshness = seen.source.freshness
    if freshness is None:
        return ["cannot be polled, see above", *_stream(seen.life)]
    lines = [freshness.text if freshness.is_replica else "answers", *_stream(seen.life)]
    return lines + [
        f"{name} is not replicated: this tool does not know that table"
        for name in seen.source.left_behind
    ]


def _stream(life: LifeSigns) -> list[str]:
    """Return the change stream's progress, and the WAL that it retains."""
    if (stream := life.stream) is None:
        return []
    wal = (
        f"it keeps {size_text(stream.retained_bytes)} of WAL of at most"
        f" {size_text(stream.retained_bytes_max)}"
    )
    if stream.off:
        return [f"change stream: OFF since {moment(stream.since)}, see above; {wal}"]
    progress = (
        "not read yet" if stream.told_until is None else f"read {_ago(life, stream.told_until)}"
    )
    left = f", {size_text(stream.behind_bytes)} to go" if stream.behind_bytes else ""
    return [
        f"change stream: each commit is a cut since {moment(stream.since)}, {progress}{left}; {wal}"
    ]


def _log(seen: Seen) -> str:
    log = seen.log
    if log.unknown:
        return "cannot be read, see above"
    if not log.log_id:
        return "there is none"
    if log.last is None:
        return f"{counted(log.records, 'record')}, no closed cut yet"
    return (
        f"{counted(log.records, 'record')}, last cut {log.last.closed.cut} at offset"
        f" {log.last.offset}, taken {whole_time(log.last.closed.source_time)}"
    )


def _target(found: TargetStatus, printed: PrintedCommands) -> list[str]:
    checkpoint = found.checkpoint
    at = f", at cut {checkpoint.cut}" if checkpoint else ""
    lag = f", {duration_text(found.lag)} behind" if found.lag is not None else ""
    lines = [f"{_state(found)}{at}{lag}"]
    if checkpoint is not None and checkpoint.paused and not checkpoint.promoted:
        resume = printed.command(f"apply {found.target} --resume --once")
        lines += ["  to follow again, type:", f"  {resume}"]
    if found.proved:
        ages = {level: found.looked_at - at for level, at in sorted(found.proved.items())}
        text = ", ".join(f"{level} {age_text(age)}" for level, age in ages.items())
        lines.append(f"verified: {text}")
    if found.drilled.last is not None or found.drilled.unknown:
        lines.append(drill_words(found))
    return lines


def _state(found: TargetStatus) -> str:
    checkpoint = found.checkpoint
    if checkpoint is None:
        return "nothing applied yet"
    if checkpoint.promoted:
        return "promoted: a primary of its own"
    if found.log_gone:
        return "its log is gone"
    if found.other_log:
        return "of another log"
    if checkpoint.paused:
        only = f" with {checkpoint.datasource} alone" if checkpoint.datasource else ""
        return f"paused{only} since a restore"
    return "follows"
