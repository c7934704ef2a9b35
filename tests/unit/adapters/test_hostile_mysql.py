"""A MySQL whose tables are none of Druid's is refused by name, and takes no more memory."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

import numpy as np
import pytest

from replicator.adapters.mysql.reader import HASHES_BYTES, MysqlSnapshot
from replicator.adapters.mysql.session import Database, Session
from replicator.adapters.mysql.sql import Shape
from replicator.errors import ConfigError
from replicator.model.row import TABLES, Kind
from replicator.model.versions import NoVersions
from replicator.ports import Chunk


class Saying:
    """A `Session` with one table of these rows."""

    def __init__(self, *rows: tuple[Any, ...]) -> None:
        self._rows = rows

    async def stream(
        self,
        doing: str,
        query: str,
        *,
        rows_max: int,
        sink: Callable[[list[tuple[Any, ...]]], None],
    ) -> None:
        del doing, query, rows_max
        sink([*self._rows])

    async def fetch(self, doing: str, query: str, *args: object) -> tuple[tuple[Any, ...], ...]:
        del doing, args
        return ((0, b""),) if "SUM" in query else self._rows


def snapshot_of(*rows: tuple[Any, ...]) -> MysqlSnapshot:
    shape = Shape(
        table=TABLES[Kind.CONFIG],
        name="druid_config",
        types={"name": "varbinary", "payload": "longblob"},
    )
    return MysqlSnapshot(
        cast("Session", Saying(*rows)),
        cast("Database", None),
        {Kind.CONFIG: shape},
        datetime(2026, 1, 1, tzinfo=UTC),
        lineage=NoVersions("none"),
        chunk_rows=10,
        target=False,
    )


async def test_a_key_that_is_longer_than_druids_takes_no_memory_for_each_row():
    """Handles are one array, whose items are all as long as the longest."""
    found = list[Chunk]()
    rows = [(bytes(HASHES_BYTES) + b"k" * size,) for size in (1, 8192, 9000)]
    await snapshot_of(*rows[:2]).scan(Kind.CONFIG, found.append)
    assert len(found[0].keys) == 2
    with pytest.raises(ConfigError, match=r"druid_config.: a key has 9000 characters"):
        await snapshot_of(*rows).scan(Kind.CONFIG, found.append)


@pytest.mark.parametrize(("name", "handle"), [(b"\xff", b"k."), (b"k", b"\xff.")])
async def test_bytes_where_druid_has_a_text_are_no_traceback(name: bytes, handle: bytes):
    with pytest.raises(ConfigError, match="a row has bytes where Druid has a text"):
        await snapshot_of((name, b"{}")).fetch(Kind.CONFIG, np.array([handle], np.bytes_))
