"""The outcome of each time at which a schedule was due, as small files in the target's store.

schedules/<schedule>/<due>-<attempt>.json     created by the one process that may run it

The file's name is the lease: of several processes only one creates it. A lease ends when its holder
has not renewed it for long enough; another attempt then has another name.

Clocks are also set back. A record of a future time counts as soon as that time has come, so a time
that comes twice runs once; until then the records before it decide. No lease is longer than
`LEASE`, so a longer one belongs to a clock that was ahead.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from replicator.model.document import Name, Natural, Shape, Time, time_text, written
from replicator.model.timestamps import stamped

FOLDER = "schedules"
LEASE = timedelta(minutes=5)
"""Time for which a silent process counts as running."""
SKEW_MAX = timedelta(minutes=5)
"""Allowed difference of two machines' clocks: a lease may end this much later than `LEASE`."""
_STAMP = "%Y%m%dT%H%M%SZ"
_FILE = re.compile(r"schedules/([^/]+)/(\d{8}T\d{6}Z)-(\d{1,3})\.json", re.ASCII)


class RunState(StrEnum):
    """Outcome of a run."""

    RUNNING = "running"
    GOOD = "good"
    BAD = "bad"
    """The run failed, or its proof was not good."""
    SKIPPED = "skipped"
    """The run was too late, or the previous one had not ended."""
    LOST = "lost"
    """The run's process ended without a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One attempt of one run."""

    schedule: Name
    target: Name
    due: Time
    attempt: Natural
    state: RunState
    started_at: Time
    lease_until: Time
    """Time until which the process counts as running, unless it renews this."""
    ended_at: Time | None = None
    exit_code: int | None = None
    message: str = ""
    """Reason for a bad or skipped run; otherwise its result, in a few words."""
    job: str | None = None
    """Id of the run's job, if a service ran it."""
    host: str = ""
    missed: Natural = 0
    """Number of times before it that were missed, or came while the previous run was running."""

    @property
    def name(self) -> str:
        """Name of the run's file."""
        return run_name(self.schedule, self.due, self.attempt)

    def state_at(self, now: datetime) -> RunState:
        """Return the outcome of the run as far as it can be known."""
        if self.state is not RunState.RUNNING:
            return self.state
        is_held = now <= self.lease_until <= now + LEASE + SKEW_MAX
        return RunState.RUNNING if is_held else RunState.LOST


_SHAPE = Shape(RunRecord, "it was altered; remove it, it only records what a schedule did")


def run_name(schedule: str, due: datetime, attempt: int) -> str:
    """Return the name of a run's file; names of one schedule sort by time."""
    return f"{FOLDER}/{schedule}/{due.astimezone(UTC).strftime(_STAMP)}-{attempt:03}.json"


def run_of_name(name: str) -> tuple[datetime, int] | None:
    """Return the time and the attempt in a file's name; None: it is another file."""
    found = _FILE.fullmatch(name)
    due = None if found is None else stamped(found[2], _STAMP)
    return None if found is None or due is None else (due, int(found[3]))


def run_json(record: RunRecord) -> bytes:
    """Return a record as a document."""
    return written(
        {
            "schedule": record.schedule,
            "target": record.target,
            "due": time_text(record.due),
            "attempt": record.attempt,
            "state": record.state.value,
            "started_at": time_text(record.started_at),
            "lease_until": time_text(record.lease_until),
            "ended_at": None if record.ended_at is None else time_text(record.ended_at),
            "exit_code": record.exit_code,
            "message": record.message,
            "job": record.job,
            "host": record.host,
            "missed": record.missed,
        }
    )


def run_of(name: str, data: bytes) -> RunRecord:
    """Return the record in a document.

    Raises:
        CorruptionError: the document cannot be read, or belongs to another run.
    """
    record = _SHAPE.read(name, data)
    if record.name != name:
        raise _SHAPE.unreadable(name, f"it is that of {record.name}")
    return record
