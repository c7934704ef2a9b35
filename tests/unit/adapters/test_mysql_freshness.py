"""What a replica of MySQL says of itself, and what that means for the age of a cut."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from replicator.adapters.mysql.freshness import BEGINNING, ROUNDING, applied
from replicator.model.timestamps import later

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MARIADB = {
    "slave_io_running": "Yes",
    "slave_sql_running": "Yes",
    "seconds_behind_master": 7,
    "sql_delay": 0,
}
MYSQL = {
    "replica_io_running": "Yes",
    "replica_sql_running": "Yes",
    "seconds_behind_source": 7,
    "sql_delay": 0,
}


@pytest.mark.parametrize("status", [MARIADB, MYSQL], ids=["mariadb", "mysql"])
def test_a_replica_shows_what_was_committed_some_seconds_ago(status: dict[str, Any]):
    found = applied(status, NOW, order_kept=True)
    assert found.is_replica
    assert found.shows == NOW - timedelta(seconds=7) - ROUNDING
    assert found.reason == ""


def test_a_replica_that_stands_shows_nothing_for_certain():
    stands = MARIADB | {
        "slave_sql_running": "No",
        "seconds_behind_master": None,
        "last_sql_error": "duplicate key",
        "sql_delay": 3600,
    }
    found = applied(stands, NOW, order_kept=False)
    assert found.shows == BEGINNING
    assert "applies nothing (duplicate key)" in found.reason
    assert "3600 s behind" in found.reason
    assert "replica_preserve_commit_order" in found.reason


def test_a_replica_that_counts_beyond_the_calendar_shows_nothing_for_certain():
    found = applied(MYSQL | {"seconds_behind_source": 2**64 - 1}, NOW, order_kept=True)
    assert found.shows == BEGINNING - ROUNDING


def test_a_replica_without_its_primary_says_so():
    found = applied(MYSQL | {"replica_io_running": "Connecting"}, NOW, order_kept=True)
    assert found.reason == "it receives nothing from a primary"


@pytest.mark.parametrize(
    ("former", "wanted"),
    [
        (None, "2026-06-01T00:00:00.000Z"),
        ("2026-06-01T00:00:00.000Z", "2026-06-01T00:00:00.001Z"),
        ("9999-12-31T23:59:59.999Z", "2026-06-01T00:00:00.000Z"),
        ("2999-02-30T00:00:00.000Z", "2999-03-02T00:00:00.001Z"),
        ("2999-01-01t00:00:00.000z", "2026-06-01T00:00:00.000Z"),
    ],
)
def test_a_timestamp_moves_on_whatever_was_there(former: str | None, wanted: str):
    assert later(former, "2026-06-01T00:00:00.000Z") == wanted
