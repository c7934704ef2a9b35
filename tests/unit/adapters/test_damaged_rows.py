"""Rows of our own files that rotted, or that somebody else wrote: named, and no traceback."""

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.sqlite.control_file import ControlFile
from replicator.adapters.sqlite.journal import SqliteJournal
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.adapters.sqlite.tokens import TokenStore
from replicator.errors import ConfigError, CorruptionError
from replicator.model.event import Document, Offset, Record
from replicator.model.operations.access import AccessToken, Role
from tests.builders import TIME

TOKEN = AccessToken(
    id="t1",
    name="ops",
    role=Role.VIEWER,
    targets=frozenset({"standby"}),
    created_at=TIME,
    expires_at=TIME + timedelta(days=1),
    revoked_at=None,
    digest="ab" * 32,
)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("role", "king"),
        ("targets", "{"),
        ("targets", '"standby"'),
        ("expires_at", "soon"),
        ("expires_at", "2024-05-01T12:30:00"),
        ("digest", b"\x00"),
        ("name", b"ops"),
    ],
)
async def test_a_token_that_was_altered_opens_nothing_and_is_named(
    tmp_path: Path, column: str, value: object
):
    path = tmp_path / "control" / "control.sqlite"
    file = ControlFile(path)
    store = TokenStore(file)
    try:
        await store.add(TOKEN)
        assert await store.token("t1") == TOKEN
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"UPDATE tokens SET {column} = ?", (value,))
        with pytest.raises(CorruptionError, match=f"{path}: row 't1' of tokens: "):
            await store.token("t1")
    finally:
        await file.close()


async def journal(path: Path) -> None:
    await SqliteJournal(path, waiting_max=1, kept_max=1).send_again(None)


async def control(path: Path) -> None:
    file = ControlFile(path)
    try:
        await file.write("write it", lambda connection: connection.execute("PRAGMA user_version"))
    finally:
        await file.close()


@pytest.mark.parametrize("use", [journal, control])
async def test_a_file_of_ours_beside_which_there_is_one_of_elsewhere_writes_nothing_there(
    tmp_path: Path, use: Callable[[Path], Awaitable[None]]
):
    """Who can write to the folder gives a file of this user a second name there."""
    path, elsewhere = tmp_path / "ours.sqlite", tmp_path / "elsewhere"
    tmp_path.chmod(0o700)
    await use(path)
    elsewhere.write_bytes(b"precious")
    elsewhere.chmod(0o600)
    Path(f"{path}-wal").hardlink_to(elsewhere)
    with pytest.raises(ConfigError, match="-wal is a link"):
        await use(path)
    assert elsewhere.read_bytes() == b"precious"


@pytest.mark.parametrize(("time_us", "year"), [(10**18, 9999), (-(10**18), 1970)])
async def test_a_records_time_beyond_the_calendar_is_its_end(
    tmp_path: Path, time_us: int, year: int
):
    assert (await records_with(tmp_path, time_us))[0].appended_at.year == year


async def test_a_records_time_that_is_none_is_damage(tmp_path: Path):
    with pytest.raises(CorruptionError, match="'soon' for its time"):
        await records_with(tmp_path, "soon")


async def records_with(folder: Path, time: object) -> Sequence[Record]:
    """Return what a log reads whose record somebody has given another time."""
    path = folder / "prod.log"
    async with SqliteEventLog(path, SystemClock(), "prod") as log:
        await log.acquire()
        await log.append([Document(type="t", subject="s", data=b"{}")])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE records SET appended_at_us = ?", (time,))
    async with SqliteEventLog(path, SystemClock(), "prod") as log:
        return await log.read(Offset(0), records_max=10)
