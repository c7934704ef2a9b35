"""A recording of a real Druid 33.0.0, played step by step into a database and a folder.

`data/README.md` describes the files and how they were made.
"""

import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from replicator.adapters.postgresql.druid_tables import LAYOUTS

DATA = Path(__file__).parent / "data"
TABLES_DDL = LAYOUTS["druid-33"]
ROOT_MARK = "${DEEP_STORAGE}"
KEYS: Mapping[str, str] = {
    "segments": "id",
    "datasource": "datasource",
    "supervisors": "id",
    "rules": "id",
    "config": "name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the recording."""

    name: str
    title: str
    upsert: Mapping[str, Sequence[Mapping[str, Any]]]
    delete: Mapping[str, Sequence[Any]]
    objects_added: Sequence[str]
    objects_deleted: Sequence[str]

    @property
    def segments(self) -> int:
        """Number of segment rows that the step writes."""
        return len(self.upsert.get("segments", ()))


def steps() -> dict[str, Step]:
    """Return the steps by name, in their order."""
    found: dict[str, Step] = {}
    for path in sorted((DATA / "steps").glob("*.json")):
        raw = json.loads(path.read_text())
        found[path.stem] = Step(
            name=path.stem,
            title=raw["title"],
            upsert=raw["upsert"],
            delete=raw["delete"],
            objects_added=raw["objects"]["add"],
            objects_deleted=raw["objects"]["delete"],
        )
    return found


class RecordedDruid:
    """Plays steps in Druid's order: bytes before rows, and for kills rows before bytes."""

    def __init__(self, connection: asyncpg.Connection, *, root: Path, archive: Path) -> None:
        self._connection = connection
        self._root = root
        self._archive = archive

    @staticmethod
    def unpack(archive: Path) -> None:
        """Unpack the segments of all steps, which are later published one by one."""
        with tarfile.open(DATA / "segments.tar.gz") as packed:
            # the argument `filter` is of Python 3.11.4, and Debian 12 has 3.11.2
            packed.extraction_filter = getattr(tarfile, "data_filter", None)
            packed.extractall(archive)  # noqa: S202 - it is a file of this package

    async def play(self, step: Step) -> None:
        """Publish the segments that the step adds, and kill those that it deletes."""
        for folder in step.objects_added:
            shutil.copytree(self._archive / folder, self._root / folder, dirs_exist_ok=True)
        async with self._connection.transaction():
            for table, rows in step.upsert.items():
                for row in rows:
                    await self._upsert(table, row)
            for table, keys in step.delete.items():
                await self._connection.execute(
                    f"DELETE FROM druid_{table} WHERE {KEYS[table]} = ANY($1)",  # noqa: S608
                    list(keys),
                )
        for folder in step.objects_deleted:
            shutil.rmtree(self._root / folder)

    async def _upsert(self, table: str, row: Mapping[str, Any]) -> None:
        columns = ", ".join(f'"{name}"' for name in row)
        places = ", ".join(f"${place}" for place in range(1, len(row) + 1))
        updates = ", ".join(f'"{name}" = EXCLUDED."{name}"' for name in row)
        values = [self._value(name, value) for name, value in row.items()]
        await self._connection.execute(
            f"INSERT INTO druid_{table} ({columns}) VALUES ({places})"  # noqa: S608
            f" ON CONFLICT ({KEYS[table]}) DO UPDATE SET {updates}",
            *values,
        )

    def _value(self, name: str, value: Any) -> Any:
        if not name.endswith("payload"):
            return value
        return value.replace(ROOT_MARK, str(self._root)).encode()
