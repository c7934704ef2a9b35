"""A metadata server whose values are of other types is tried again, and is no traceback."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import pytest

from replicator.adapters.mysql import binlog
from replicator.adapters.mysql import freshness as of_mysql
from replicator.adapters.mysql.session import Database as MysqlDatabase
from replicator.adapters.mysql.session import Session
from replicator.adapters.postgresql import freshness as of_postgresql
from replicator.adapters.postgresql.session import Database, PostgresqlSession
from replicator.adapters.postgresql.stream.slot import StreamOptions, look_at, slot_of
from replicator.errors import TransientError

NOW = datetime(2026, 1, 1)  # noqa: DTZ001 - as MySQL says it
STREAM = StreamOptions(slot="s", publication="p")


class Says:
    """A session whose server says some rows, one after the other, and a replica's status."""

    is_mariadb = True

    def __init__(self, *answers: Any, status: Any = None) -> None:
        self._answers, self._status = list(answers), status

    async def fetch(self, *_: object) -> Sequence[Any]:
        return cast("Sequence[Any]", self._answers.pop(0))

    async def named(self, *_: object) -> Any:
        return self._status


class There:
    """A `Database` of any kind."""

    name, schema, kinds = "MySQL at db", "public", ()

    class address:  # noqa: N801 - a field
        database = "druid"


MYSQL, POSTGRESQL = cast("MysqlDatabase", There()), cast("Database", There())


@pytest.mark.parametrize(
    ("now", "status"),
    [("today", None), (None, None), (NOW, {"seconds_behind_master": "soon"})],
)
async def test_a_time_of_mysql_that_is_none(now: Any, status: Any):
    session = cast("Session", Says([(now, 0)], status=status))
    with pytest.raises(TransientError, match="MySQL at db: what the server says of its time"):
        await of_mysql.freshness_of(session, MYSQL)


@pytest.mark.parametrize(
    ("snapshot", "settings"),
    [
        ([("binlog_snapshot_file", 7)], []),
        ([("binlog_snapshot_file", "a.1"), ("binlog_snapshot_position", "end")], []),
        ([("binlog_snapshot_file", "a.1")], [("gtid_binlog_pos", "x-y-z")]),
        ([("binlog_snapshot_file",)], []),
    ],
)
async def test_a_binary_log_of_another_form(snapshot: Any, settings: Any):
    session = cast("Session", Says(snapshot, settings))
    with pytest.raises(TransientError, match="what the server says of its binary log cannot"):
        await binlog.position_of(session, MYSQL, is_replica=False)


@pytest.mark.parametrize("row", [("a.1", "end", "Xid", 1, 9, ""), ("a.1", 4), 7])
async def test_an_event_of_another_form(row: Any):
    with pytest.raises(TransientError, match="what the server says of its binary log cannot"):
        await binlog._events(cast("Session", Says([row])), "a.1", 4)


@pytest.mark.parametrize("found", [{}, {"requested_at": "today"}, {"requested_at": None}])
async def test_a_time_of_postgresql_that_is_none(found: dict[str, Any]):
    session = cast("PostgresqlSession", Says([found]))
    with pytest.raises(TransientError, match="says of its time cannot be read"):
        await of_postgresql.freshness_of(session)


@pytest.mark.parametrize("found", [{}, {"tables": "[", "wal_status": None}, {"tables": "[7]"}])
async def test_a_change_stream_of_another_form(found: dict[str, Any]):
    for asked in (
        lambda session: look_at(session, POSTGRESQL, STREAM),
        lambda session: slot_of(session, "s"),
    ):
        with pytest.raises(TransientError, match="says of its change stream cannot be read"):
            await asked(cast("PostgresqlSession", Says([found])))
