"""What a source's database sees of being watched: the least role, and locks that hold up nobody."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.model.row import Kind
from replicator.ports import Chunk
from tests.integration.test_postgresql import SEGMENT, SUPERVISOR, role, role_dsn
from tests.integration.test_postgresql_versions import FLIP, Watch, segment
from tests.servers.postgresql import connected, execute, put

__all__ = ["role", "role_dsn"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.real

ROWS_TABLES = ("config", "datasource", "rules", "segments", "supervisors")
HELD = """
SELECT coalesce(relation::regclass::text, locktype) AS what, mode
FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE usename = 'limited' AND locktype <> 'virtualxid'
"""
"""Of all processes that work for the role. Each transaction has its own virtual id, as a lock."""
PATIENCE_S = 20.0
"""After which a statement that waits for a lock fails; none may wait."""


async def granted(owner: str, *tables: str) -> None:
    """Give the role what docs/postgresql.md gives a source, and nothing else."""
    page = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text()
    statements = page.partition("-- source\n")[2].partition("```")[0]
    _, *grants = statements.strip().rstrip(";").split(";")
    for grant in grants:
        await execute(owner, grant.replace("TO replicator", "TO limited"))


async def held(connection: asyncpg.Connection) -> dict[str, set[str]]:
    """Return the modes in which the role holds locks now, by what they are of."""
    found: dict[str, set[str]] = {}
    for row in await connection.fetch(HELD):
        found.setdefault(row["what"], set()).add(row["mode"])
    return found


@asynccontextmanager
async def with_writers(owner: str) -> AsyncIterator[None]:
    """Hold every table in the mode that lets nobody but ACCESS SHARE pass."""
    async with connected(owner) as connection, connection.transaction():
        tables = ", ".join(f"druid_{name}" for name in (*ROWS_TABLES, "audit", "tasks"))
        await connection.execute(f"LOCK TABLE {tables} IN EXCLUSIVE MODE")
        yield


async def everything_that_is_read(reader: PostgresqlMetadataReader) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    await reader.freshness()
    await reader.load_spec_samples()
    await reader.left_behind()
    await reader.running_tasks()
    await reader.audit("wiki", since=now, until=now, rows_max=1)


async def test_the_locks_of_a_snapshot_are_access_share_alone(role_dsn: tuple[str, str]):
    """They stay until the transaction ends, so after each step all that it took are still there."""
    owner, limited_dsn = role_dsn
    await granted(owner)
    await put(owner, SEGMENT, SUPERVISOR)
    reader = PostgresqlMetadataReader(limited_dsn)
    async with connected(owner) as watching, reader.snapshot() as snapshot:
        at_first = await held(watching)
        assert {f"druid_{name}" for name in ROWS_TABLES} <= at_first.keys()
        chunks: list[Chunk] = []
        versions = list[object]()
        await snapshot.versions(Kind.SEGMENT, versions.append)
        await snapshot.scan(Kind.SEGMENT, chunks.append)
        (found,) = chunks
        assert found.versions is not None
        await snapshot.scan(Kind.SEGMENT, chunks.append, places=found.versions.places)
        await snapshot.scan(Kind.SEGMENT, chunks.append, datasources=["wiki"])
        await snapshot.fetch(Kind.SEGMENT, found.handles)
        at_last = await held(watching)
    assert at_last.keys() > at_first.keys(), "indexes and catalogues were read as well"
    assert {mode for modes in at_last.values() for mode in modes} == {"AccessShareLock"}
    async with connected(owner) as watching:
        assert await held(watching) == {}


async def test_no_read_of_a_source_waits_for_anything_less_than_access_exclusive(
    role_dsn: tuple[str, str],
):
    """Each kind of poll, and what other verbs read, while EXCLUSIVE locks are on every table."""
    owner, limited_dsn = role_dsn
    await granted(owner)
    await put(owner, *(segment(number) for number in range(3)))
    watch = Watch(limited_dsn)
    async with with_writers(owner):
        assert (await watch.poll()).full
        assert await watch.by_versions() == 0
        await everything_that_is_read(
            PostgresqlMetadataReader(limited_dsn, statement_timeout_s=PATIENCE_S)
        )
    await execute(owner, FLIP, "wiki_1")
    async with with_writers(owner):
        assert await watch.by_versions() == 1


async def test_the_role_of_a_source_can_change_nothing(role_dsn: tuple[str, str]):
    owner, limited_dsn = role_dsn
    await granted(owner)
    async with connected(limited_dsn) as connection:
        for table in (*ROWS_TABLES, "audit", "tasks"):
            for statement in ("DELETE FROM {}", "TRUNCATE {}", "LOCK TABLE {} IN SHARE MODE"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(
                        f"DO $$BEGIN {statement.format(f'druid_{table}')}; END$$"
                    )
