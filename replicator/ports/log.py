"""The log of one source, and the bases that can replace its trimmed part."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from replicator.model.event import Document, Epoch, Offset, Record
from replicator.model.store.archive import Base
from replicator.ports.obstacle import Obstacle


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The range of records in a log at one moment."""

    log_id: str
    """Id that differs for every log that was ever created, also under the same name."""
    first: Offset
    """Offset at which reading can start, at or before the oldest record; trimming moves it up."""
    end: Offset
    """Offset larger than that of any record that can be read; not smaller than `first`."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long a log keeps its records."""

    retention: timedelta | None = None
    """Time from the append of a record on; None: for ever. A log may trim later than it could."""
    threat: Obstacle | None = None
    """Why it takes no records, or would lose some that it is configured to keep; None: neither."""


class EventLog(Protocol):
    """Totally ordered history of one source cluster, as its readers see it."""

    async def span(self) -> Span:
        """Return which offsets can be read now.

        Raises:
            TransientError: the log cannot be reached; try again.
            NotFoundError: there is no such log.
        """
        ...

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        """Return records with an offset of `start` or larger, ascending, none at the end.

        At most `records_max`, perhaps fewer; empty only at the end. Offsets ascend but need not be
        dense. Only records whose append returned are seen, each of them exactly once.

        Raises:
            TransientError: as for `span`.
            GapError: `start` is smaller than the oldest record kept: the log was trimmed.
        """
        ...

    async def offset_at(self, time: datetime) -> Offset | None:
        """Return the first offset appended at or after `time` by the log's clock, None if none."""
        ...

    async def keeping(self) -> Keeping:
        """Return how long the log keeps its records, and what would lose them sooner.

        Raises:
            TransientError: as for `span`.
            NotFoundError: there is no such log.
        """
        ...

    async def report(self, reader: str, offset: Offset, store: str) -> None:
        """Show a reader's position where the log's operators look for it (Kafka: a group).

        The position is a hint for people, and a log without a place for it keeps only the store,
        whose loss is seen by it: an archive's checkpoint lies in its store, and is lost with it.

        Args:
            reader: Name of the target that reads.
            offset: The last record that the target has.
            store: Id of the store that has the target's bytes.

        Raises:
            TransientError: as for `span`.
            ConfigError: the log denies it; the message names the privilege.
        """
        ...

    async def reported(self, reader: str) -> str | None:
        """Return the id of the store in which a reader last reported; None: it never did.

        Kafka forgets it a week after the last report (`offsets.retention.minutes`).

        Raises:
            TransientError: as for `span`.
            ConfigError: the log denies it.
        """
        ...


class CheckableLog(EventLog, Protocol):
    """Everything that `check` needs of a log."""

    async def obstacles(self) -> Sequence[Obstacle]:
        """Return what would keep a writer from the log, or from making it; nothing is changed.

        Raises:
            TransientError: the log cannot be reached.
            ConfigError: the login fails.
        """
        ...


class Pulses(Protocol):
    """Heartbeats of the processes that write to a log or follow it, kept beside the log.

    They are never in the log: they take no offset, and create no log that does not exist.
    """

    async def beat(self, who: str, data: bytes) -> None:
        """Replace a process's heartbeat; not durably.

        A heartbeat has at most 4 KB.

        Raises:
            TransientError: the log cannot be reached.
            NotFoundError: there is no log.
            ConfigError: the log denies it; the message names the privilege.
        """
        ...

    async def heard(self, who: str) -> bytes | None:
        """Return the last heartbeat of a process; None if it never had one.

        Raises:
            TransientError, ConfigError: as for `beat`.
        """
        ...


class Bases(Protocol):
    """Bases of some of a log's cuts, for where the log itself was trimmed.

    A base holds the records that its cut still consists of, each at its own offset.
    """

    async def offsets(self) -> Sequence[Offset]:
        """Return the offsets of the cuts with a base, ascending."""
        ...

    async def base(self, offset: Offset) -> Base:
        """Return a base without its records.

        Raises:
            CorruptionError: the base is missing or altered; another one may be whole.
        """
        ...

    async def read_base(
        self, offset: Offset, start: Offset, *, records_max: int, of: Base | None = None
    ) -> Sequence[Record]:
        """Return records of a base with an offset of `start` or larger, ascending, as a log does.

        `of` is the base that was read before: another one in its place is refused.

        Raises:
            CorruptionError: as for `base`.
        """
        ...

    async def whole_until(self, start: Offset) -> Offset:
        """Return the offset up to which no record is missing after what is at `start`."""
        ...

    async def resume(self, start: Offset) -> Offset | None:
        """Return the next offset from which the log can be read, from `start` on; None for none."""
        ...

    async def doubt(self) -> bool | None:
        """Use other files than before, as those do not lead to a cut of the log.

        Returns:
            Whether there are others that were not tried; None: the log needs none of them.
        """
        ...


class EventLogWriter(EventLog, Protocol):
    """The one writer of a log; a newer writer fences older ones."""

    async def acquire(self) -> Epoch:
        """Become the writer, with a larger epoch than every writer before.

        Once this returns, no append of an older writer can succeed. The log is created if there is
        none.

        Raises:
            TransientError: the log cannot be reached.
        """
        ...

    async def append(self, documents: Sequence[Document]) -> Offset:
        """Store all documents or none, and return the offset of the first.

        The offsets of one append are consecutive. On return they survive a crash of this process
        and a loss of power (SQLite: synchronous=FULL; Kafka: acks=all).

        Raises:
            FencedError: another writer acquired the log after this one.
            TransientError: the outcome is unknown; `acquire` again and read the log's end before
                continuing.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LogState:
    """A log as a move finds it."""

    span: Span
    epoch: Epoch
    """Epoch of the last writer."""
    moved_into: str | None
    """Name of the log that this one was moved into; None: it was not."""


class MovableLog(EventLogWriter, Protocol):
    """A log that can be moved into another one."""

    async def state(self) -> LogState:
        """Return what there is, also of a log that was moved away; it can be read from then on.

        Raises:
            TransientError, NotFoundError: as for `span`.
        """
        ...

    async def seal(self, into: str) -> None:
        """Durably close the log to all writers and readers except the mover.

        That is decided at once with the log's end: nothing was appended since `acquire`.

        Raises:
            FencedError: another writer acquired the log after this one.
            TransientError: the outcome is unknown.
        """
        ...


class LogHeir(Protocol):
    """A log that another one is moved into, with its id, its offsets and its times.

    It is not read or written before `finish`, and an interrupted move continues where it stopped.
    """

    @property
    def name(self) -> str:
        """Name that distinguishes it from other logs in messages."""
        ...

    async def begin(self, state: LogState) -> Offset | None:
        """Begin or continue; return the first offset to store; None: the move is done.

        Raises:
            RefusedError: there is another log.
            TransientError, ConfigError: as for `EventLogWriter.acquire`.
        """
        ...

    async def receive(self, records: Sequence[Record]) -> None:
        """Store records at their offsets, ascending; durable once the last one is asked for.

        Raises:
            TransientError: it is unknown how much was stored; begin again.
        """
        ...

    async def read(self, start: Offset, *, records_max: int) -> Sequence[Record]:
        """Return what was received, as `EventLog.read` does."""
        ...

    async def forget(self) -> None:
        """Remove what was received: it is not what was sent."""
        ...

    async def finish(self, state: LogState) -> None:
        """Become the log: `acquire` then gives a larger epoch, and appends a larger offset."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...
