"""One connection serves the blocks that follow each other, and never one that cannot be trusted."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from asyncpg.pgproto.pgproto import BufferError as UnreadableError

from replicator.adapters.postgresql import kept as kept_module
from replicator.adapters.postgresql.kept import KeptConnection
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.session import Database, connect
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.errors import ConfigError
from replicator.model.row import Kind
from tests.servers.postgresql import END_OTHERS, Postgresql, execute, sessions

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.real

PROCESS = "SELECT pg_backend_pid()"
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'replicator'"


@pytest.fixture
async def dsn(postgresql: Postgresql) -> AsyncIterator[str]:
    async with postgresql.database() as found:
        yield found


@pytest.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    kept = KeptConnection()
    yield Database(dsn=dsn, kept=kept)
    await kept.close()


async def process(database: Database, **settings: str) -> int:
    async with connect(database, **settings) as session:
        found: int = await session.value("ask", PROCESS)
    return found


async def test_questions_one_after_the_other_share_a_connection(dsn: str):
    before, kept = await sessions(dsn), KeptConnection()
    writer = PostgresqlMetadataWriter(dsn, kept=kept)
    state = await writer.acquire("east")
    async with writer.snapshot() as snapshot:
        await snapshot.scan(Kind.SEGMENT, lambda _: None)
    async with writer.transaction("east", state.epoch):
        pass
    assert await writer.state("east") == state
    await kept.close()
    assert await sessions(dsn) == before + 1


async def test_without_one_who_closes_it_nothing_stays_open(dsn: str):
    writer = PostgresqlMetadataWriter(dsn)
    await writer.columns()
    await writer.columns()
    assert await sessions(dsn) >= 2, "which ends when there is no session any more"


async def test_blocks_at_the_same_time_have_one_each_and_one_stays(database: Database):
    async with connect(database) as one, connect(database) as other:
        first, second = await one.value("ask", PROCESS), await other.value("ask", PROCESS)
    assert first != second
    assert await process(database) in {first, second}


async def test_a_connection_that_died_is_never_met(database: Database):
    before = await process(database)
    await execute(database.dsn, END_OTHERS)
    assert await process(database) != before


@pytest.mark.parametrize("fault", [UnreadableError(), OverflowError(), TimeoutError()])
async def test_a_connection_whose_answers_cannot_be_read_is_exchanged(
    database: Database, monkeypatch: pytest.MonkeyPatch, fault: Exception
):
    """A proxy that answers in the server's place sends what is none of PostgreSQL's."""

    async def unread(_: object) -> None:
        raise fault

    before = await process(database)
    monkeypatch.setattr(asyncpg.Connection, "reload_schema_state", unread)
    assert await process(database) != before


async def test_a_server_that_hangs_is_given_one_time_to_answer_and_none_to_part(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    """It held up each look and each poll three times as long as the server may take to connect."""
    partings, close = list[object](), asyncpg.Connection.close

    async def hangs(_: object) -> None:
        raise TimeoutError

    async def parts(connection: asyncpg.Connection, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's
        partings.append(connection)
        await close(connection, timeout=timeout)

    before = await process(database)
    monkeypatch.setattr(asyncpg.Connection, "reload_schema_state", hangs)
    monkeypatch.setattr(asyncpg.Connection, "close", parts)
    assert await process(database) != before
    assert not partings


async def test_what_failed_or_left_a_transaction_open_is_not_used_again(database: Database):
    before = await process(database)
    with pytest.raises(ConfigError):
        async with connect(database) as session:
            await session.value("fail", "SELECT * FROM no_such_table")
    after = await process(database)
    assert after != before
    async with connect(database) as session:
        await session.execute("begin", "BEGIN")
    assert await process(database) != after


async def test_settings_of_one_block_are_not_those_of_the_next(database: Database):
    """A writer of a target waits for another writer's lock without limit; nothing after it does."""
    async with connect(database) as session:
        await session.execute("wait", "SET lock_timeout TO 0")
    async with connect(database) as session:
        assert await session.value("ask", "SHOW lock_timeout") == "10s"


async def test_a_column_that_came_meanwhile_is_no_error_of_a_known_statement(dsn: str):
    kept = KeptConnection()
    reader = PostgresqlMetadataReader(dsn, kept=kept)
    rows = "SELECT * FROM druid_config"
    async with connect(Database(dsn=dsn, kept=kept)) as session:
        await session.fetch("ask", rows)
    await execute(dsn, "ALTER TABLE druid_config ADD COLUMN later text")
    async with reader.snapshot():
        pass
    async with connect(Database(dsn=dsn, kept=kept)) as session:
        await session.execute("begin", "BEGIN")
        await session.fetch("ask", rows)
        await session.execute("end", "ROLLBACK")
    await kept.close()


async def test_it_ends_soon_after_its_last_use(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_module, "IDLE_MAX_S", 0.05)
    await process(database)
    await sessions(database.dsn)


async def test_an_old_one_is_left_to_nobody(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_module, "AGE_MAX_S", 0.0)
    before = await process(database)
    assert await process(database) != before
    await sessions(database.dsn)


async def test_a_question_cut_off_takes_its_connection_with_it(database: Database):
    async def ask() -> None:
        async with connect(database) as session:
            await session.value("sleep", "SELECT pg_sleep(60)")

    before = await process(database)
    asking = asyncio.create_task(ask())
    await asyncio.sleep(0.2)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await process(database) != before
