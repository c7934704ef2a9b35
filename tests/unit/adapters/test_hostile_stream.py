"""A source that says something else than a change stream is polled, and no other work ends."""

import time
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from replicator.adapters.postgresql.session import PostgresqlSession
from replicator.adapters.postgresql.sql import Shape
from replicator.adapters.postgresql.stream.change_stream import (
    PostgresqlChangeStream,
    _Reporter,
)
from replicator.adapters.postgresql.stream.pgoutput import (
    COPY_HEADER,
    COPY_TRAILER,
    CopiedFields,
    Insert,
    Relation,
)
from replicator.adapters.postgresql.stream.row_changes import RowChanges
from replicator.adapters.postgresql.stream.slot import StreamOptions
from replicator.errors import BrokenStreamError, CorruptionError
from replicator.model.row import TABLES, Kind
from replicator.model.stream import Lsn, StreamPosition
from replicator.ports import CommitVisitor

SINCE = StreamPosition(at=Lsn(1), identity="one")


def field(data: bytes) -> bytes:
    return b"\0\1" + len(data).to_bytes(4) + data


class Saying:
    """A `PostgresqlSession` that copies given bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def copy(
        self, doing: str, query: str, *, sink: Callable[[bytes], Awaitable[None]]
    ) -> None:
        del doing, query
        await sink(self._data)


@pytest.mark.parametrize(
    "data",
    [
        COPY_HEADER + field(b"?") + COPY_TRAILER,
        COPY_HEADER + field(b"B") + COPY_TRAILER,
        COPY_HEADER + field(b"B" + bytes(8) + b"\xff" * 8 + bytes(4)) + COPY_TRAILER,
        COPY_HEADER + field(b"O")[:-1],
        b"",
        COPY_HEADER + b"\0\1\xff\xff\xff\xf0",
    ],
    ids=["no kind", "cut short", "a time beyond the calendar", "cut off", "nothing", "4 GB"],
)
async def test_what_is_no_message_breaks_the_stream_alone(data: bytes):
    stream = PostgresqlChangeStream("postgresql://x/y", StreamOptions(slot="s", publication="p"))
    telling = _Reporter(SINCE, cast("CommitVisitor", None), RowChanges({}))
    with pytest.raises(BrokenStreamError):
        await stream._peek(cast("PostgresqlSession", Saying(data)), telling, Lsn(9))


def test_a_large_value_in_small_pieces_is_not_copied_with_each_of_them():
    """16 MiB in pieces of 1 KiB took half a minute in which the process did nothing else."""
    data = COPY_HEADER + field(bytes(16 << 20)) + field(b"more") + COPY_TRAILER
    fields, begun_s = CopiedFields(), time.process_time()
    found = [
        len(one) for at in range(0, len(data), 1024) for one in fields.take(data[at : at + 1024])
    ]
    fields.close()
    assert found == [16 << 20, 4]
    assert time.process_time() - begun_s < 5


@pytest.mark.parametrize("rest", [b"\0\2", COPY_TRAILER + b"\0"], ids=["two columns", "no end"])
def test_what_is_no_value_is_refused_at_once_and_not_gathered(rest: bytes):
    with pytest.raises(CorruptionError, match="no COPY of one column"):
        list(CopiedFields().take(COPY_HEADER + field(b"one") + rest))


@pytest.mark.parametrize("column", ["name", "payload"])
def test_a_null_where_druid_has_none_breaks_the_stream_alone(column: str):
    """A column that was altered to take NULLs: the stream's identity does not show it."""
    shape = Shape(
        table=TABLES[Kind.CONFIG],
        relation="druid_config",
        name="druid_config",
        types={"name": "character varying", "payload": "bytea"},
    )
    rows = RowChanges({1: shape})
    rows.describe(Relation(1, ("name", "payload")))
    values = [None if name == column else b"\\x7b7d" for name in ("name", "payload")]
    with pytest.raises(BrokenStreamError, match=f"{column} is NULL"):
        next(rows.changes(Insert(1, values)))
