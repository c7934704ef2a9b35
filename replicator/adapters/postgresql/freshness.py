"""How old what a PostgreSQL server shows is: a replica may be hours behind its own clock.

Asked before the snapshot is taken: what was replayed then is in it. All times are lower bounds, so
that no cut says of itself that it holds more than it does.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from replicator.adapters.postgresql.session import PostgresqlSession
from replicator.ports import Freshness

CLOCK: Final = "SELECT clock_timestamp() AS asked_at, pg_is_in_recovery() AS is_replica"
REPLAY: Final = """
SELECT clock_timestamp() AS asked_at,
       pg_last_xact_replay_timestamp() AS committed_at,
       (SELECT checkpoint_time FROM pg_control_checkpoint()) AS checkpoint_at,
       coalesce(pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn(), false) AS all_replayed,
       coalesce(pg_last_wal_replay_lsn() >= receiver.latest_end_lsn, false) AS primary_reached,
       pg_is_wal_replay_paused() AS is_paused,
       current_setting('recovery_min_apply_delay', true) AS delay,
       extract(epoch FROM current_setting('wal_receiver_timeout')::interval)::float8 AS timeout_s,
       receiver.pid IS NOT NULL AS is_receiving,
       receiver.status AS status,
       receiver.last_msg_send_time AS sent_at,
       receiver.last_msg_receipt_time AS received_at
FROM (SELECT) AS one LEFT JOIN pg_catalog.pg_stat_wal_receiver AS receiver ON true
"""
"""A role without `pg_read_all_stats` sees no more of the receiver than that there is one.

https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-WAL-RECEIVER-VIEW
"""
ON_ITS_WAY: Final = timedelta(seconds=1)
"""Taken off where it cannot be seen how long a message of the primary takes to this replica."""
ANSWER: Final = timedelta(seconds=5)
"""How long a primary may take to answer when its replica asks whether it is there, which it does
after half of `wal_receiver_timeout`: until then an idle primary is silent, and nothing is wrong."""
BEGINNING: Final = datetime.fromtimestamp(0, UTC)


async def freshness_of(session: PostgresqlSession) -> Freshness:
    """Return how old what the server shows from now on can be."""
    (found,) = await session.fetch("ask the time", CLOCK)
    asked_at: datetime = found["asked_at"].astimezone(UTC)
    if not found["is_replica"]:
        return Freshness(asked_at=asked_at, shows=asked_at, is_replica=False)
    (found,) = await session.fetch("ask how far the replica is", REPLAY)
    return replayed(found)


def replayed(found: asyncpg.Record | dict[str, Any]) -> Freshness:
    """Return what the row of `REPLAY` means.

    Up to date is who has replayed all that he received, and hears from his primary. Otherwise the
    last commit that was replayed counts, which an idle primary leaves ever older.
    """
    asked_at: datetime = found["asked_at"].astimezone(UTC)
    times = [found["committed_at"], found["checkpoint_at"]]
    if found["primary_reached"]:
        times.append(found["sent_at"])
    if found["all_replayed"] and (route := _on_its_way(found)) is not None:
        times.append(asked_at - route)
    shows = min(asked_at, max([BEGINNING, *(time for time in times if time is not None)]))
    return Freshness(
        asked_at=asked_at,
        shows=shows.astimezone(UTC),
        is_replica=True,
        reason=", ".join(_reasons(found)),
        is_blind=found["is_receiving"] and found["status"] is None,
    )


def _on_its_way(found: asyncpg.Record | dict[str, Any]) -> timedelta | None:
    """Return the age of what comes from the primary; None: nothing comes."""
    if not found["is_receiving"]:
        return None
    if found["status"] is None:
        return ON_ITS_WAY
    if found["status"] != "streaming" or not found["primary_reached"]:
        return None
    silence = found["asked_at"] - found["received_at"]
    if found["timeout_s"] and silence > timedelta(seconds=found["timeout_s"] / 2) + ANSWER:
        return None
    route: timedelta = found["received_at"] - found["sent_at"]
    return max(timedelta(0), route)


def _reasons(found: asyncpg.Record | dict[str, Any]) -> Iterable[str]:
    if not found["is_receiving"]:
        yield "it receives nothing from a primary"
    if found["is_paused"]:
        yield "replay is paused"
    if found["delay"] not in {None, "0"}:
        yield f"recovery_min_apply_delay is {found['delay']}"
