"""What a replica's own words say of its age."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from replicator.adapters.postgresql.freshness import replayed

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
FOLLOWS: dict[str, Any] = {
    "requested_at": NOW,
    "committed_at": NOW - HOUR,
    "checkpoint_at": NOW - 2 * HOUR,
    "all_replayed": True,
    "primary_reached": True,
    "is_paused": False,
    "delay": "0",
    "timeout_s": 60.0,
    "is_receiving": True,
    "status": "streaming",
    "sent_at": NOW - 20 * SECOND,
    "received_at": NOW - 19 * SECOND,
}
UNSEEN = {"status": None, "sent_at": None, "received_at": None, "primary_reached": False}


@pytest.mark.parametrize(
    ("change", "shows", "reason"),
    [
        ({}, NOW - SECOND, ""),  # the primary is idle: as old as a message is on its way
        ({"sent_at": NOW - 18 * SECOND}, NOW, ""),  # by clocks that differ
        (UNSEEN, NOW - SECOND, ""),
        ({"all_replayed": False}, NOW - 20 * SECOND, ""),
        ({"all_replayed": False, "primary_reached": False}, NOW - HOUR, ""),
        ({"primary_reached": False}, NOW - HOUR, ""),
        ({**UNSEEN, "all_replayed": False}, NOW - HOUR, ""),
        # nothing was heard although the replica has asked by now
        (
            {"sent_at": NOW - 40 * SECOND, "received_at": NOW - 40 * SECOND},
            NOW - 40 * SECOND,
            "",
        ),
        (
            {"timeout_s": 0.0, "sent_at": NOW - HOUR, "received_at": NOW - HOUR},
            NOW,
            "",
        ),
        (
            {**UNSEEN, "is_receiving": False},
            NOW - HOUR,
            "it receives nothing from a primary",
        ),
        # a snapshot that was started read only, and has replayed nothing yet
        (
            {**UNSEEN, "is_receiving": False, "committed_at": None},
            NOW - 2 * HOUR,
            "it receives nothing from a primary",
        ),
        (
            {"is_paused": True, "delay": "4s", "all_replayed": False, "primary_reached": False},
            NOW - HOUR,
            "replay is paused, recovery_min_apply_delay is 4s",
        ),
        ({"committed_at": NOW + HOUR, "all_replayed": False}, NOW, ""),  # its clock is behind
    ],
)
def test_a_replica_shows_no_more_than_its_words_prove(
    change: dict[str, Any], shows: datetime, reason: str
):
    found = replayed({**FOLLOWS, **change})
    assert (found.shows, found.reason) == (shows, reason)
    assert found.behind == NOW - shows
    assert found.is_blind is (change.get("status", "streaming") is None and found.reason == "")
