"""Our own rows in a target's database: what somebody else wrote there is damage of that target."""

from datetime import UTC, datetime
from typing import Any

import pytest

from replicator.adapters.kept_rows import gaps_of, renamed_of, sound, state_of
from replicator.adapters.mysql import own_rows as mysql
from replicator.adapters.postgresql import own_rows as postgresql
from replicator.errors import CorruptionError
from replicator.model.row import Kind

AT = datetime(2026, 1, 1, tzinfo=UTC)
ROW: dict[str, Any] = {
    "source": "prod",
    "epoch": 3,
    "applied_at": AT,
    "store": "a",
    "log_id": "log-1",
    "offset": 7,
    "cut": 2,
    "source_time": AT,
    "digest": "0f" * 32,
    "paused": False,
    "promoted": False,
    "datasource": None,
}


def test_a_row_is_read_as_it_was_written():
    found = state_of("PostgreSQL here", "t", ROW)
    assert (found.epoch, found.applied_at, found.store) == (3, AT, "a")
    assert found.checkpoint is not None
    assert found.checkpoint.digest == int("0f" * 32, 16)
    assert state_of("PostgreSQL here", "t", {**ROW, "log_id": None}).checkpoint is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epoch", -1),
        ("digest", "no digits"),
        ("digest", "0f"),
        ("offset", -1),
        ("cut", None),
        ("log_id", "../elsewhere"),
        ("source_time", AT.replace(tzinfo=None, year=9999)),  # like asyncpg's for infinity
        ("source_time", None),
        ("applied_at", datetime(9999, 1, 1, tzinfo=UTC)),
        ("paused", None),
    ],
)
def test_what_is_none_of_ours_is_damage(name: str, value: object):
    with pytest.raises(CorruptionError, match="PostgreSQL here: a row of t cannot be read") as told:
        state_of("PostgreSQL here", "t", {**ROW, name: value})
    assert name in str(told.value)
    assert "--adopt" in told.value.hint


def test_mysqls_row_is_the_same():
    row = (b"log-1", 7, 2, AT.replace(tzinfo=None), "0f" * 32, 0, 0, None, 3, None, "a")
    assert state_of("MySQL here", "t", mysql.read_state("prod", row)) == state_of(
        "MySQL here", "t", {**ROW, "applied_at": None}
    )


def test_a_gap_of_an_unknown_kind_is_damage():
    with (
        pytest.raises(CorruptionError, match="a row of gaps cannot be read"),
        sound("here", "gaps"),
    ):
        Kind("planet")


GAP: Any = {
    "source": "prod",
    "kind": "segment",
    "key": "a",
    "opened": 7,
    "closed": None,
    "datasource": "wiki",
    "reason": "object_missing",
    "detail": "gone",
}
OF_MYSQL = ("segment", b"a", 7, None, b"wiki", "object_missing", "gone", None)
RENAMED: Any = {"datasource": "old", "original": "wiki", "offset": 7, "cut": 2, "source_time": AT}


def of_postgresql(row: Any) -> object:
    return gaps_of("here", "t", map(postgresql.read_gap, [row]))


def of_mysql(row: Any) -> object:
    return gaps_of("here", "t", map(mysql.read_gap, [row]))


def of_renamed(row: Any) -> object:
    return renamed_of("here", "t", [row])


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def test_gaps_and_renamed_datasources_are_read_as_they_were_written():
    (gap,) = gaps_of("here", "t", map(postgresql.read_gap, [GAP | {"more": object()}]))
    assert (gap.kind, gap.key, gap.opened, gap.closed) == (Kind.SEGMENT, "a", 7, None)
    assert gaps_of("here", "t", map(mysql.read_gap, [OF_MYSQL])) == [gap]
    (renamed,) = renamed_of("here", "t", [RENAMED | {"more": object()}])
    assert (renamed.datasource, renamed.original, renamed.source_time) == ("old", "wiki", AT)
    row = (b"old", b"wiki", 7, 2, AT.replace(tzinfo=None))
    assert renamed_of("here", "t", map(mysql.read_renamed, [row])) == [renamed]


@pytest.mark.parametrize(
    ("read", "row"),
    [
        (of_postgresql, GAP | {"key": None}),
        (of_postgresql, GAP | {"detail": 7}),
        (of_postgresql, GAP | {"reason": None}),
        (of_postgresql, GAP | {"opened": "first"}),
        (of_postgresql, GAP | {"kind": "planet"}),
        (of_postgresql, without(GAP, "closed")),
        (of_mysql, (None, *OF_MYSQL[1:])),
        (of_mysql, ("segment", None, *OF_MYSQL[2:])),
        (of_mysql, ("segment", "a", *OF_MYSQL[2:])),
        (of_mysql, (*OF_MYSQL[:-2], None, None)),
        (of_mysql, (*OF_MYSQL[:-1], 7)),
        (of_postgresql, GAP | {"long_key": 7}),
        (of_renamed, RENAMED | {"source_time": "noon"}),
        (of_renamed, RENAMED | {"source_time": None}),
        (of_renamed, RENAMED | {"original": None}),
        (of_renamed, without(RENAMED, "cut")),
        (
            lambda row: renamed_of("here", "t", map(mysql.read_renamed, [row])),
            (b"a", b"b", 7, 2, None),
        ),
        (lambda row: state_of("here", "t", row), without(ROW, "applied_at")),
        (lambda row: state_of("here", "t", row), without(ROW, "log_id")),
    ],
    ids=range(19),
)
def test_an_altered_table_is_damage_and_no_traceback(read: Any, row: Any):
    with pytest.raises(CorruptionError, match="here: a row of t cannot be read: ") as told:
        read(row)
    assert "--adopt" in told.value.hint
