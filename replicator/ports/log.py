"""The log of one source, and what can stand in for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from replicator.model.archive import Base
from replicator.model.event import Document, Epoch, Offset, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What a log holds at the moment."""

    log_id: str
    """Differs for every log that was ever created, also under the same name."""
    first: Offset
    """Where reading can begin, at or before the oldest record; it grows when the log is trimmed."""
    end: Offset
    """Larger than the offset of any record that can be read; not smaller than `first`."""


class EventLog(Protocol):
    """Totally ordered history of one source cluster, as its readers see it."""

    async def span(self) -> Span:
        """Return which offsets can be read now.

        Raises:
            TransientError: the log cannot be reached; ask again.
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

    async def retention(self) -> timedelta | None:
        """Return how long the log keeps a record after its append, None: until somebody trims it.

        At least so long: a log may trim later than it could.

        Raises:
            TransientError: as for `span`.
            NotFoundError: there is no such log.
        """
        ...

    async def report(self, reader: str, offset: Offset) -> None:
        """Show how far a reader is, where those who run this log look for it (Kafka: a group).

        A hint for people: nobody reads it back, and a log without such a place does nothing.

        Raises:
            TransientError: as for `span`.
            ConfigError: the log does not let us; the message names the privilege.
        """
        ...


class Pulses(Protocol):
    """What the processes that write to a log, or follow it, say of themselves beside it.

    Never in it: a log that is not there is not made for that, and no offset is taken.
    """

    async def beat(self, who: str, data: bytes) -> None:
        """Keep what one of them says in place of what it said before; not durably.

        At most 4 KB.

        Raises:
            TransientError: the log cannot be reached.
            NotFoundError: there is no log.
            ConfigError: the log does not let us; the message names the privilege.
        """
        ...

    async def heard(self, who: str) -> bytes | None:
        """Return what one of them said last, None when it never did.

        Raises:
            TransientError, ConfigError: as for `beat`.
        """
        ...


class Bases(Protocol):
    """Whole inventories of some of a log's cuts, for where the log itself was trimmed.

    A base holds the records that its cut still consists of, each at its own offset.
    """

    async def offsets(self) -> Sequence[Offset]:
        """Return at which cuts there are bases, by the offsets of the cuts, ascending."""
        ...

    async def base(self, offset: Offset) -> Base:
        """Return one of them, without its records.

        Raises:
            CorruptionError: it is missing or altered; another one may do.
        """
        ...

    async def read_base(
        self, offset: Offset, start: Offset, *, records_max: int
    ) -> Sequence[Record]:
        """Return records of a base with an offset of `start` or larger, ascending, as a log does.

        Raises:
            CorruptionError: as for `base`.
        """
        ...

    async def whole_until(self, start: Offset) -> Offset:
        """Return up to where there is no hole behind the base, or the record, at `start`."""
        ...

    async def resume(self, start: Offset) -> Offset | None:
        """Return from where on the log can be read again, `start` or later, None: nowhere."""
        ...


class EventLogWriter(EventLog, Protocol):
    """The one writer of a log; a newer one shuts out the older ones."""

    async def acquire(self) -> Epoch:
        """Become the writer. The epoch is larger than that of every writer before.

        From the return on, no append of an older writer can succeed. The log is created when there
        is none.

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
            TransientError: nothing can be said about the documents; `acquire` again and read the
                log's end before going on.
        """
        ...
