"""A Druid that acts at random, with its metadata in PostgreSQL and its segments in a folder."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from random import Random

import asyncpg

from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.adapters.postgresql.sql import key_sql
from replicator.model.load_spec import Location
from replicator.model.row import TABLES, Row, RowKey, TableDefinition, key_of
from tests.servers.postgresql import connected
from tests.simulation.druid import Druid
from tests.unit.pipeline import HandClock

Rows = Mapping[RowKey, Row]
Bytes = Mapping[Location, Mapping[str, bytes]]


class DruidOnPostgresql(Druid):
    """Acts in memory as in the simulation, then makes it so in the real stores."""

    def __init__(self, rng: Random, dsn: str, root: Path) -> None:
        clock = HandClock()
        super().__init__(rng, MemoryMetadata(clock, target=False), MemoryDeepStorage())
        self._hand = clock
        self._clock = clock  # type: ignore[assignment]
        self._dsn = dsn
        self._root = root
        self._rows: Rows = {}
        self._bytes_there: Bytes = {}
        self._doomed: list[Location] = []

    async def step(self) -> None:
        """Do one thing: new bytes, then rows in one transaction, then the deletion of bytes."""
        self._hand.move(1.0)
        self.act()
        stored = {place: dict(files) for place, files in self.storage.stored.items()}
        for place, files in stored.items():
            if self._bytes_there.get(place) != files:
                self._write(place, files)
        await self._write_rows()
        for place in self._doomed:
            if not self._users(place):
                self.storage.stored.pop(place, None)
                stored.pop(place, None)
                shutil.rmtree(self._root / place, ignore_errors=True)
        self._doomed.clear()
        self._rows, self._bytes_there = dict(self.metadata.rows), stored

    def now_held(self) -> tuple[Rows, Bytes]:
        """Return the rows and bytes as they are now."""
        return self._rows, self._bytes_there

    def _commit(self, rows: Iterable[Row]) -> None:
        """Write all but the catalog, whose table these releases have only with an extension."""
        super()._commit([row for row in rows if not isinstance(row, TableDefinition)])

    def rebirth(self) -> None:
        """Not here: bytes replaced before they were copied cannot be told apart by anybody.

        docs/reference.md says so; the simulation has the case that can be noticed.
        """

    def _delete_later(self, places: list[Location]) -> None:
        self._doomed += places

    def _write(self, place: Location, files: Mapping[str, bytes]) -> None:
        folder = self._root / place
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)

    async def _write_rows(self) -> None:
        rows = self.metadata.rows
        gone = self._rows.keys() - rows.keys()
        new = [row for key, row in rows.items() if self._rows.get(key) != row]
        async with connected(self._dsn) as connection, connection.transaction():
            for key in gone:
                table = TABLES[key.kind]
                await connection.execute(
                    f"DELETE FROM druid_{table.name} WHERE {key_sql(table)} = $1", key.key
                )
            for row in new:
                await self._put(connection, row)

    async def _put(self, connection: asyncpg.Connection, row: Row) -> None:
        table = TABLES[key_of(row).kind]
        if table.newest_by is None:
            await connection.execute(
                f"DELETE FROM druid_{table.name} WHERE {key_sql(table)} = $1", key_of(row).key
            )
        names = [name for name in table.columns if name in table.required | COMMON]
        columns = ", ".join(f'"{name}"' for name in names)
        places = ", ".join(f"${i}" for i in range(1, len(names) + 1))
        values = [getattr(row, name) for name in names]
        await connection.execute(
            f"INSERT INTO druid_{table.name} ({columns}) VALUES ({places})", *values
        )


COMMON = frozenset({"used_status_last_updated", "upgraded_from_segment_id"})
"""Optional columns that Druid 33 and 37 both have."""
