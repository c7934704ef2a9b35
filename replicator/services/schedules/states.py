"""What is scheduled, what ran last and what runs next, for those who look."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from replicator.errors import ReplicatorError
from replicator.model.operations.schedule import Timing, next_due
from replicator.model.operations.scheduled_run import RunRecord, RunState
from replicator.services.running.patience import Patience
from replicator.services.schedules.record import ScheduleRecord
from replicator.task_group import TaskGroup

LOOKED_BACK = 20
"""Runs among which the last good one is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledLine:
    """One schedule of one target."""

    schedule: str
    target: str
    kind: str
    """What it does: `expire`, `verify` and so on."""
    timing: Timing
    record: ScheduleRecord
    verb: str = ""
    """The verb with its arguments by which an operator does the same at once; empty: none does."""

    @property
    def name(self) -> str:
        """Name by which its jitter is drawn."""
        return f"{self.schedule}/{self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """What is known of a line."""

    line: ScheduledLine
    last: RunRecord | None
    last_good: datetime | None
    """When the last good run ended."""
    next_due: datetime
    looked_at: datetime
    unknown: str = ""
    """Why its runs cannot be read; empty: they can."""

    @property
    def ended(self) -> RunState | None:
        """How the last run has ended; None: there was none, or it is at work."""
        state = None if self.last is None else self.last.state_at(self.looked_at)
        return None if state is RunState.RUNNING else state


def good_end(runs: Iterable[RunRecord]) -> datetime | None:
    """Return when the first good one of these runs ended, None: none was good."""
    return next((run.ended_at for run in runs if run.state is RunState.GOOD), None)


async def line_states(
    lines: Iterable[ScheduledLine], now: datetime, patience: Patience
) -> list[LineState]:
    """Read the state of each line from its target's store: one listing, and few small files.

    Stores are read side by side; of one that hangs the runs are not known.
    """
    by_target: dict[str, list[ScheduledLine]] = {}
    lines = list(lines)
    for line in lines:
        by_target.setdefault(line.target, []).append(line)
    async with TaskGroup() as group:
        tasks = [
            group.create_task(_states(target, some, now, patience))
            for target, some in by_target.items()
        ]
    found = {one.line.name: one for task in tasks for one in task.result()}
    return [found[line.name] for line in lines]


async def _states(
    target: str, lines: Sequence[ScheduledLine], now: datetime, patience: Patience
) -> list[LineState]:
    async def read() -> list[LineState]:
        return [await _state(line, now) for line in lines]

    try:
        return await patience.answer(f"target {target!r}", read)
    except ReplicatorError as exc:
        return [_known(line, now, [], str(exc)) for line in lines]


async def _state(line: ScheduledLine, now: datetime) -> LineState:
    runs, unknown = list[RunRecord](), ""
    try:
        runs = list(await line.record.newest(line.schedule, LOOKED_BACK, now=now))
    except ReplicatorError as exc:
        unknown = str(exc)
    return _known(line, now, runs, unknown)


def _known(
    line: ScheduledLine, now: datetime, runs: Sequence[RunRecord], unknown: str
) -> LineState:
    return LineState(
        line=line,
        last=runs[0] if runs else None,
        last_good=good_end(runs),
        next_due=next_due(line.timing, now),
        looked_at=now,
        unknown=unknown,
    )
