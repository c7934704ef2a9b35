"""How old the data is that a PostgreSQL server shows: a replica may be hours behind its own clock.

The question is asked before the snapshot is taken, which then has all that was replayed. All times
are lower bounds, so that no cut claims to hold more than it does.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg

from replicator.adapters.boundary import understood
from replicator.adapters.postgresql.session import PostgresqlSession
from replicator.errors import TransientError
from replicator.ports import Freshness

TIME: Final = "what the PostgreSQL server says of its time"
CLOCK: Final = "SELECT clock_timestamp() AS requested_at, pg_is_in_recovery() AS is_replica"
REPLAY: Final = """
SELECT clock_timestamp() AS requested_at,
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
"""Query for the receiver; a role without `pg_read_all_stats` sees only that there is one.

https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-WAL-RECEIVER-VIEW
"""
ON_ITS_WAY: Final = timedelta(seconds=1)
"""Time subtracted if it is unknown how long a message takes from the primary to this replica."""
ANSWER: Final = timedelta(seconds=5)
"""Longest time for a primary to answer its replica, which asks after half of
`wal_receiver_timeout`: until then an idle primary is silent, and nothing is wrong."""
BEGINNING: Final = datetime.fromtimestamp(0, UTC)


async def freshness_of(session: PostgresqlSession) -> Freshness:
    """Return the greatest possible age of what the server shows from now on."""
    (found,) = await session.fetch("ask the time", CLOCK)
    with understood(TIME, TransientError.hint):
        requested_at: datetime = found["requested_at"].astimezone(UTC)
    if not found["is_replica"]:
        return Freshness(requested_at=requested_at, shows=requested_at, is_replica=False)
    (found,) = await session.fetch("ask how far the replica is", REPLAY)
    with understood(TIME, TransientError.hint):
        return replayed(found)


def replayed(found: asyncpg.Record | dict[str, Any]) -> Freshness:
    """Return the freshness that a row of `REPLAY` means.

    A replica is up to date if it has replayed all that it received and hears from its primary.
    Otherwise its last replayed commit counts, which grows older while the primary is idle.
    """
    requested_at: datetime = found["requested_at"].astimezone(UTC)
    # A replica that has replayed no commit since its start knows only its last checkpoint.
    times = [found["committed_at"], found["checkpoint_at"]]
    # The message says where the primary's WAL ended when it was sent, and all of that is replayed.
    if found["primary_reached"]:
        times.append(found["sent_at"])
    if found["all_replayed"] and (route := _on_its_way(found)) is not None:
        times.append(requested_at - route)
    shows = min(requested_at, max([BEGINNING, *(time for time in times if time is not None)]))
    return Freshness(
        requested_at=requested_at,
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
    silence = found["requested_at"] - found["received_at"]
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
