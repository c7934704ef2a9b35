"""Tokens of the control API in the control file."""

import sqlite3
from datetime import datetime
from typing import Any

import orjson

from replicator.adapters.sqlite.control_file import ControlFile
from replicator.adapters.sqlite.rows import row_as, shape_of
from replicator.model.operations.access import AccessToken

COLUMNS = "id, name, role, targets, created_at, expires_at, revoked_at, digest"
SELECT = f"SELECT {COLUMNS} FROM tokens"  # noqa: S608 - names of our own
_TOKEN = shape_of(AccessToken)


class TokenStore:
    """Keeps tokens by their ids, without their secret part."""

    def __init__(self, file: ControlFile) -> None:
        self._file = file

    async def add(self, token: AccessToken) -> None:
        """Keep a new token."""

        def change(connection: sqlite3.Connection) -> None:
            insert = f"INSERT INTO tokens ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
            connection.execute(insert, _row(token))

        await self._file.write("keep a token", change)

    async def token(self, id_: str) -> AccessToken | None:
        """Return a token; None: there is none with this id."""

        def look(connection: sqlite3.Connection) -> AccessToken | None:
            query = f"{SELECT} WHERE id = ?"
            row = connection.execute(query, (id_,)).fetchone()
            return None if row is None else _token(row)

        return await self._file.read("look up a token", look)

    async def tokens(self) -> list[AccessToken]:
        """Return all tokens, oldest first."""

        def look(connection: sqlite3.Connection) -> list[AccessToken]:
            query = f"{SELECT} ORDER BY created_at, id"
            return [_token(row) for row in connection.execute(query)]

        return await self._file.read("list tokens", look)

    async def revoke(self, id_: str, now: datetime) -> bool:
        """Revoke a token; return False if there is none with this id."""

        def change(connection: sqlite3.Connection) -> bool:
            found = connection.execute(
                # The first time stays: it says since when the token has opened nothing.
                "UPDATE tokens SET revoked_at = coalesce(revoked_at, ?) WHERE id = ?",
                (now.isoformat(), id_),
            )
            return found.rowcount > 0

        return await self._file.write("revoke a token", change)


def _row(token: AccessToken) -> tuple[object, ...]:
    targets = None if token.targets is None else orjson.dumps(sorted(token.targets)).decode()
    times = (token.created_at, token.expires_at, token.revoked_at)
    written = (None if time is None else time.isoformat() for time in times)
    return (token.id, token.name, token.role.value, targets, *written, token.digest)


def _token(row: tuple[Any, ...]) -> AccessToken:
    return row_as(
        _TOKEN,
        lambda: {
            "id": row[0],
            "name": row[1],
            "role": row[2],
            "targets": None if row[3] is None else orjson.loads(row[3]),
            "created_at": row[4],
            "expires_at": row[5],
            "revoked_at": row[6],
            "digest": row[7],
        },
        table="tokens",
        id_=row[0],
    )
