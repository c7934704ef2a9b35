"""Which log a topic holds: its own, or one that was moved here with its id and its offsets.

The broker gives a topic its id and its offsets. A log that is moved must keep its own, which
checkpoints, gaps, holds and stores name. So each record of such a topic has a header with the log's
id and the difference between its offsets and the topic's, which is the same for all records. Each
record has it because retention may trim any other.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Self

from aiokafka import ConsumerRecord

from replicator.adapters.kafka.reader import PartitionReader
from replicator.errors import ConfigError, CorruptionError, RefusedError
from replicator.model.document import INT_MAX, is_name, parsed
from replicator.model.event import Epoch, Record
from replicator.model.timestamps import FIRST_YEAR, LAST_YEAR

ACQUIRED: Final = "log.acquired"
"""Type of a writer's first record."""
FILLER: Final = "log.filler"
"""Type of a record at an offset that holds nothing in the log that was moved here."""
MOVED: Final = "log.moved"
"""Type of the last record of a log that was moved away; its value says where it is."""
NOT_EVENTS: Final = frozenset({ACQUIRED, FILLER, MOVED})
"""Types that readers skip."""
CONTENT_TYPE, TYPE, EPOCH = "content-type", "ce_type", "epoch"
TYPE_AT: Final = 1
"""Index of the type among the headers of a record."""
CLOUD_EVENT: Final = b"application/cloudevents+json; charset=UTF-8"
"""Header for a whole CloudEvent in the value: structured mode of CloudEvents' Kafka binding."""
CONTINUES, MOVING = "log", "moving"
"""Headers of records of a log that was moved here, and of one whose move has not ended."""
NOT_OURS_HINT: Final = (
    "see which program may write to this topic: only the watcher should (docs/kafka.md#acls)"
)
_EPOCH_START, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
STEP, STEP_FACTOR, RECORDS_MAX = 4, 8, 1000


class LogPlace(NamedTuple):
    """A log that was moved here."""

    log_id: str
    shift: int
    """Difference between an offset of the log and the topic's."""

    @classmethod
    def of(cls, value: bytes | None) -> Self:
        """Return the log that a header names.

        Raises:
            CorruptionError: this program did not write the header.
        """
        log_id, _, shift = (value or b"").decode(errors="replace").partition(" ")
        with suppress(ValueError):
            if is_name(log_id) and abs(found := int(shift)) <= INT_MAX:
                return cls(log_id, found)
        raise CorruptionError(f"a record has no place of its log: {value!r}", hint=NOT_OURS_HINT)

    @property
    def header(self) -> bytes:
        """Value of the header."""
        return f"{self.log_id} {self.shift}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """The state of a log, from the last record of its topic."""

    offset: int
    """The topic's own."""
    epoch: Epoch
    appended_at_ms: int
    place: LogPlace | None
    """The log that was moved here; None: the topic holds its own."""
    is_moving: bool
    """Whether the move of that log has not ended."""
    moved_into: str | None
    """Name of the log that this one was moved into; None: it was not moved."""


async def tail_of(reader: PartitionReader) -> Tail | None:
    """Return the state from the last committed record, None without one; look back in steps."""
    first, end = await reader.first(), await reader.end()
    at, step = end, STEP
    while at > first:
        start, last = max(first, at - step), None
        position = start
        while position < at and (found := await reader.read(position, records_max=RECORDS_MAX)):
            last, position = found[-1], found[-1].offset + 1
        if last is not None:
            return _tail(last)
        # The end may hold aborted records alone, however many a writer in trouble has left.
        at, step = start, step * STEP_FACTOR
    return None


def ms_at(time: datetime) -> float:
    """Return a time as Kafka counts it: in milliseconds since 1970."""
    return (time - _EPOCH_START) / _MILLISECOND


def time_at(timestamp_ms: int) -> datetime:
    """Return the time of a record's timestamp.

    Raises:
        OverflowError: it is beyond the years that a time can have here.
    """
    found = _EPOCH_START + timestamp_ms * _MILLISECOND
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise OverflowError("the time of a record is beyond the calendar")
    return found


def headers(type_: str, epoch: Epoch, *more: tuple[str, bytes]) -> list[tuple[str, bytes]]:
    """Return the headers of a record."""
    own = [(CONTENT_TYPE, CLOUD_EVENT), (TYPE, type_.encode()), (EPOCH, str(epoch).encode())]
    return [*own, *more]


def refuse_unreadable(tail: Tail, topic: str) -> None:
    """Refuse a log that is not completely here yet, or not here any more.

    Raises:
        RefusedError: its move has not ended.
        ConfigError: it was moved away.
    """
    if tail.is_moving:
        raise RefusedError(
            f"topic {topic} does not hold the whole log yet: it is being moved there",
            hint="with the former log's configuration, `replicator log move --to FILE` ends it",
        )
    if tail.moved_into is not None:
        raise ConfigError(
            f"the log in topic {topic} was moved to {tail.moved_into}",
            hint="correct `log`; if that move was cut off, the same"
            " `replicator log move --to FILE` ends it",
        )


def moved_to(found: Sequence[ConsumerRecord]) -> str | None:
    """Return where the log was moved to, if one of its records says so."""
    last = found[-1]
    return _moved_into(last) if dict(last.headers).get(TYPE) == MOVED.encode() else None


def _tail(last: ConsumerRecord) -> Tail:
    headers = dict(last.headers)
    if missing := {TYPE, EPOCH} - headers.keys():
        raise _not_ours(last, min(missing))
    moved_here = [headers[name] for name in (CONTINUES, MOVING) if name in headers]
    try:
        epoch = Epoch(int(headers[EPOCH]))
    except (TypeError, ValueError):
        raise _not_ours(last, EPOCH) from None
    if not 0 <= epoch < INT_MAX:  # the next writer's is one larger, and has 64 bits, too
        raise _not_ours(last, EPOCH)
    try:
        time_at(last.timestamp)  # no record of the next writer is older than this one
    except OverflowError:
        raise _not_ours(last, "time") from None
    return Tail(
        offset=last.offset,
        epoch=epoch,
        appended_at_ms=last.timestamp,
        place=LogPlace.of(moved_here[0]) if moved_here else None,
        is_moving=MOVING in headers,
        moved_into=_moved_into(last) if headers[TYPE] == MOVED.encode() else None,
    )


def _moved_into(record: ConsumerRecord) -> str:
    try:
        return str(parsed(record.value or b"", None)["into"])
    except (KeyError, ValueError):
        raise _not_ours(record, "value") from None


def _not_ours(record: ConsumerRecord, what: str) -> CorruptionError:
    return CorruptionError(
        f"the record at offset {record.offset} lacks a {what} of ours: another program wrote it",
        hint=NOT_OURS_HINT,
    )


def records_of(found: Sequence[ConsumerRecord], shift: int) -> list[Record]:
    """Return consumed records as readers see them; records of one append share a time object.

    Raises:
        CorruptionError: another program wrote one of them.
    """
    types, times = _Types(), _Times()
    new = tuple.__new__  # a third faster than the constructor of a NamedTuple
    try:
        records = [
            new(Record, (one.offset + shift, times[one.timestamp], type_, one.value))
            for one in found
            if (type_ := types[one.headers[TYPE_AT][1]]) not in NOT_EVENTS
        ]
    except (IndexError, AttributeError, UnicodeDecodeError, OverflowError):
        raise _foreign(found, f"{TYPE}, or no time") from None
    if any(record.data is None for record in records):
        raise _foreign(found, "value")
    return records


def _foreign(found: Sequence[ConsumerRecord], lacks: str) -> CorruptionError:
    return CorruptionError(
        f"a record between offsets {found[0].offset} and {found[-1].offset} has no {lacks}, of"
        " ours: another program wrote it",
        hint=NOT_OURS_HINT,
    )


class _Types(dict[bytes, str]):
    """The type of event that a header names."""

    def __missing__(self, value: bytes) -> str:
        self[value] = found = value.decode()
        return found


class _Times(dict[int, datetime]):
    """The time of a timestamp."""

    def __missing__(self, time_ms: int) -> datetime:
        self[time_ms] = found = time_at(time_ms)
        return found
