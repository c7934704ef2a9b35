"""Jobs and plans in the control file."""

import sqlite3
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final, Literal
from zlib import crc32

import orjson

from replicator.adapters.sqlite.control_file import ControlFile
from replicator.adapters.sqlite.rows import flag, row_as, shape_of
from replicator.model.operations.job import AgreedPlan, Job, JobAnswer, JobState

COLUMNS = (
    "id, verb, request, targets, exclusive, by, state, created_at, started_at, ended_at, progress,"
    " exit_code, why, plan, again"
)
PLAN_COLUMNS = "digest, verb, request, document, targets, by, made_at"
SELECT = f"SELECT {COLUMNS} FROM jobs"  # noqa: S608 - names of our own
SELECT_PLAN = f"SELECT {PLAN_COLUMNS} FROM plans"  # noqa: S608
UNFINISHED = (JobState.QUEUED.value, JobState.RUNNING.value)
_JOB = shape_of(Job)

SOUND_MAX: Final = 1_000
"""Number of documents that need not be read again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _PlanRow:
    """A row of `plans` without its document, which is handed on as it is."""

    digest: str
    verb: str
    request: Mapping[str, Any]
    is_sound: Literal[True]
    targets: tuple[str, ...]
    by: str
    made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _AnswerRow:
    """A row of `answers` without its document."""

    is_sound: Literal[True]
    stdout: str
    stderr: str


_PLAN, _ANSWER = shape_of(_PlanRow), shape_of(_AnswerRow)


class JobStore:
    """Keeps the newest jobs with their answers, and the plans that can still be carried out."""

    def __init__(self, file: ControlFile) -> None:
        self._file = file
        self._sound = SoundDocuments()

    async def add(self, job: Job, *, key: str | None, kept_max: int, kept_bytes_max: int) -> None:
        """Keep a new job under its owner's key, and with it `kept_max` jobs that have ended.

        Their answers have at most `kept_bytes_max`. The oldest of the principal that has most goes:
        no principal pushes out what others have requested.
        """

        def change(connection: sqlite3.Connection) -> None:
            insert = f"INSERT INTO jobs ({COLUMNS}, idempotency_key) VALUES ({_marks(16)})"  # noqa: S608
            connection.execute(insert, (*_row(job), key))
            _forget_beyond(connection, kept_max - 1)
            _forget_large(connection, kept_bytes_max)

        await self._file.write("keep a job", change)

    async def keyed(self, by: str, key: str) -> Job | None:
        """Return the job to which its owner gave this key."""

        def look(connection: sqlite3.Connection) -> Job | None:
            query = f"{SELECT} WHERE by = ? AND idempotency_key = ?"
            row = connection.execute(query, (by, key)).fetchone()
            return None if row is None else _job(row)

        return await self._file.read("look up a job by its key", look)

    async def put(self, job: Job, answer: JobAnswer | None = None) -> None:
        """Keep the state of a job."""

        def change(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE jobs SET state = ?, started_at = ?, ended_at = ?, progress = ?,"
                " exit_code = ?, why = ?, plan = ? WHERE id = ?",
                (
                    job.state.value,
                    _time_text(job.started_at),
                    _time_text(job.ended_at),
                    None if job.progress is None else _text(asdict(job.progress)),
                    job.exit_code,
                    job.why,
                    job.plan,
                    job.id,
                ),
            )
            if answer is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
                    (
                        job.id,
                        answer.written,
                        answer.stdout,
                        answer.stderr,
                    ),
                )

        await self._file.write("keep what became of a job", change)

    async def job(self, id_: str) -> Job | None:
        """Return a job; None: there is none, or it was forgotten."""

        def look(connection: sqlite3.Connection) -> Job | None:
            query = f"{SELECT} WHERE id = ?"
            row = connection.execute(query, (id_,)).fetchone()
            return None if row is None else _job(row)

        return await self._file.read("look up a job", look)

    async def answer(self, id_: str) -> JobAnswer | None:
        """Return the answer of a job's verb; None: there is none yet."""

        def look(connection: sqlite3.Connection) -> JobAnswer | None:
            query = "SELECT document, stdout, stderr FROM answers WHERE job_id = ?"
            row = connection.execute(query, (id_,)).fetchone()
            if row is None:
                return None
            return _answer(id_, row, self._sound)

        return await self._file.read("look up a job's answer", look)

    async def newest(self, *, limit: int, states: Sequence[JobState] = ()) -> list[Job]:
        """Return the newest jobs, newest first; `states`: only those in one of these states."""

        def look(connection: sqlite3.Connection) -> list[Job]:
            only = f"WHERE state IN ({_marks(len(states))})" if states else ""
            query = f"{SELECT} {only} ORDER BY number DESC LIMIT ?"
            rows = connection.execute(query, (*(one.value for one in states), limit))
            return [_job(row) for row in rows]

        return await self._file.read("list jobs", look)

    async def keep_plan(
        self, plan: AgreedPlan, *, forget_before: datetime, kept_bytes_max: int
    ) -> None:
        """Keep a plan, and forget those that were made before a time.

        The others have at most `kept_bytes_max`: the oldest of the principal that has most goes.
        """

        def change(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM plans WHERE made_at < ?", (forget_before.isoformat(),))
            connection.execute(
                f"INSERT OR REPLACE INTO plans ({PLAN_COLUMNS}) VALUES ({_marks(7)})",  # noqa: S608
                (
                    plan.digest,
                    plan.verb,
                    _text(plan.request),
                    plan.written,
                    _text(plan.targets),
                    plan.by,
                    plan.made_at.isoformat(),
                ),
            )
            plans = "SELECT by, rowid, length(document) FROM plans ORDER BY made_at, rowid"
            forgotten = _beyond(connection.execute(plans), kept_bytes_max)
            connection.executemany("DELETE FROM plans WHERE rowid = ?", forgotten)

        await self._file.write("keep a plan", change)

    async def plan(self, digest: str) -> AgreedPlan | None:
        """Return a plan; None: it was never made, or it is forgotten."""

        def look(connection: sqlite3.Connection) -> AgreedPlan | None:
            query = f"{SELECT_PLAN} WHERE digest = ?"
            row = connection.execute(query, (digest,)).fetchone()
            if row is None:
                return None
            return _plan(row, self._sound)

        return await self._file.read("look up a plan", look)


class SoundDocuments:
    """Checks a stored document once: to read 16 MiB of JSON for each request would hold up all."""

    def __init__(self) -> None:
        self._known = dict[str, int]()
        """Checksum by id; the oldest is forgotten first."""

    def has(self, id_: str, data: bytes) -> bool:
        """Return whether this is a document in JSON.

        Raises:
            ValueError, TypeError: it is not JSON.
        """
        checksum = crc32(data)
        if self._known.get(id_) != checksum:
            if not isinstance(orjson.loads(data), dict):
                return False
            while len(self._known) >= SOUND_MAX:
                del self._known[next(iter(self._known))]
            self._known[id_] = checksum
        return True


def _forget_beyond(connection: sqlite3.Connection, kept_max: int) -> None:
    ended = f"state NOT IN ({_marks(len(UNFINISHED))})"
    counts: dict[str, int] = dict(
        connection.execute(
            f"SELECT by, count(*) FROM jobs WHERE {ended} GROUP BY by",  # noqa: S608 - our names
            UNFINISHED,
        )
    )
    excess = Counter[str]()
    while sum(counts.values()) > kept_max:
        most = max(counts, key=counts.__getitem__)
        counts[most] -= 1
        excess[most] += 1
    for by, count in excess.items():
        oldest = f"SELECT number FROM jobs WHERE {ended} AND by = ? ORDER BY number LIMIT ?"  # noqa: S608 - our names
        connection.execute(
            f"DELETE FROM jobs WHERE number IN ({oldest})",  # noqa: S608
            (*UNFINISHED, by, count),
        )


def _forget_large(connection: sqlite3.Connection, kept_bytes_max: int) -> None:
    """Forget ended jobs until other answers fit: the oldest of the principal that has most."""
    found = connection.execute(
        "SELECT by, number, coalesce(length(document), 0) + length(stdout) + length(stderr)"  # noqa: S608 - our names
        f" FROM jobs JOIN answers ON job_id = id WHERE state NOT IN ({_marks(len(UNFINISHED))})"
        " ORDER BY number",
        UNFINISHED,
    )
    forgotten = _beyond(found, kept_bytes_max)
    connection.executemany("DELETE FROM jobs WHERE number = ?", forgotten)


def _beyond(found: Iterable[tuple[str, int, int]], kept_bytes_max: int) -> list[tuple[int]]:
    """Return the numbers of what is too much: the oldest of the principal that has most.

    Args:
        found: Owner, number and size of each, the oldest first.
        kept_bytes_max: Size that all may have together.
    """
    theirs, sizes = dict[str, deque[tuple[int, int]]](), Counter[str]()
    for by, number, size_bytes in found:
        theirs.setdefault(by, deque()).append((number, size_bytes))
        sizes[by] += size_bytes
    forgotten = list[tuple[int]]()
    while sizes.total() > kept_bytes_max:
        most = max(sizes, key=sizes.__getitem__)
        number, size_bytes = theirs[most].popleft()
        sizes[most] -= size_bytes
        forgotten.append((number,))
    return forgotten


def _row(job: Job) -> tuple[object, ...]:
    return (
        job.id,
        job.verb,
        _text(job.request),
        _text(job.targets),
        int(job.exclusive),
        job.by,
        job.state.value,
        _time_text(job.created_at),
        _time_text(job.started_at),
        _time_text(job.ended_at),
        None,
        job.exit_code,
        job.why,
        job.plan,
        job.again,
    )


def _plan(row: tuple[Any, ...], sound: SoundDocuments) -> AgreedPlan:
    found = row_as(
        _PLAN,
        lambda: {
            "digest": row[0],
            "verb": row[1],
            "request": orjson.loads(row[2]),
            "is_sound": sound.has(row[0], row[3]),
            "targets": orjson.loads(row[4]),
            "by": row[5],
            "made_at": row[6],
        },
        table="plans",
        id_=row[0],
    )
    return AgreedPlan(
        digest=found.digest,
        verb=found.verb,
        request=found.request,
        written=row[3],
        targets=found.targets,
        by=found.by,
        made_at=found.made_at,
    )


def _answer(id_: str, row: tuple[Any, ...], sound: SoundDocuments) -> JobAnswer:
    found = row_as(
        _ANSWER,
        lambda: {
            "is_sound": row[0] is None or sound.has(id_, row[0]),
            "stdout": row[1],
            "stderr": row[2],
        },
        table="answers",
        id_=id_,
    )
    return JobAnswer(written=row[0], stdout=found.stdout, stderr=found.stderr)


def _job(row: tuple[Any, ...]) -> Job:
    return row_as(
        _JOB,
        lambda: {
            "id": row[0],
            "verb": row[1],
            "request": orjson.loads(row[2]),
            "targets": orjson.loads(row[3]),
            "exclusive": flag(row[4]),
            "by": row[5],
            "state": row[6],
            "created_at": row[7],
            "started_at": row[8],
            "ended_at": row[9],
            "progress": None if row[10] is None else orjson.loads(row[10]),
            "exit_code": row[11],
            "why": row[12],
            "plan": row[13],
            "again": row[14],
        },
        table="jobs",
        id_=row[0],
    )


def _marks(count: int) -> str:
    return ", ".join("?" * count)


def _text(value: object) -> str:
    return orjson.dumps(value).decode()


def _time_text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
