"""Rows of our own files that rotted, or that somebody else wrote: named, and no traceback."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from replicator.adapters.sqlite.control_file import ControlFile
from replicator.adapters.sqlite.tokens import TokenStore
from replicator.errors import CorruptionError
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
