"""Rows of our own files that rotted, or that somebody else wrote: named, and no traceback."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from replicator.adapters.sqlite.control_file import ControlFile
from replicator.adapters.sqlite.journal import SqliteJournal
from replicator.adapters.sqlite.tokens import TokenStore
from replicator.errors import ConfigError, CorruptionError
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
