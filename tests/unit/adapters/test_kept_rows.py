"""Our own rows in a target's database: what somebody else wrote there is damage of that target."""

from datetime import UTC, datetime
from typing import Any

import pytest

from replicator.adapters.kept_rows import sound, state_of
from replicator.adapters.mysql.writer import _held
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
    assert state_of("MySQL here", "t", _held("prod", row)) == state_of(
        "MySQL here", "t", {**ROW, "applied_at": None}
    )


def test_a_gap_of_an_unknown_kind_is_damage():
    with (
        pytest.raises(CorruptionError, match="a row of gaps cannot be read"),
        sound("here", "gaps"),
    ):
        Kind("planet")
