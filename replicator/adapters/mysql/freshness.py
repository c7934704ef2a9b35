"""How old the data is that a server shows: a replica may be hours behind its own clock.

The question is asked before the snapshot is taken, which then has all that was applied.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from replicator.adapters.boundary import understood
from replicator.adapters.mysql.errors import REPORT, number_of
from replicator.adapters.mysql.session import Database, Session
from replicator.errors import ConfigError
from replicator.ports import Freshness

NOW: Final = "SELECT UTC_TIMESTAMP(6), @@global.read_only"
DENIED: Final = 1227
SYNTAX: Final = 1064
ROUNDING: Final = timedelta(seconds=1)
"""Time subtracted because the server counts whole seconds, by the primary's clock."""
BEGINNING: Final = datetime.fromtimestamp(0, UTC)
STATUS: Final = ("SHOW REPLICA STATUS", "SHOW SLAVE STATUS")
"""Statements: the first since MySQL 8.0.22 and MariaDB 10.5, the second before."""


async def freshness_of(session: Session, database: Database) -> Freshness:
    """Return the greatest possible age of what the server shows from now on.

    Raises:
        ConfigError: the server may be a replica, and this user may not see how far it is.
    """
    ((now, read_only),) = await session.fetch("ask the time", NOW)
    what = f"{database.name}: what the server says of its time"
    with understood(what, REPORT):
        requested_at: datetime = now.replace(tzinfo=UTC)
    status = await _status(session, database, is_read_only=bool(read_only))
    if status is None:
        return Freshness(requested_at=requested_at, shows=requested_at, is_replica=False)
    order_kept = await _order_kept(session)
    with understood(what, REPORT):
        return applied(status, requested_at, order_kept=order_kept)


def applied(status: Mapping[str, Any], requested_at: datetime, *, order_kept: bool) -> Freshness:
    """Return the freshness that a replica's status means.

    Without a number of seconds the age of its rows is unknown: one of its threads has stopped.
    """
    behind = status.get("seconds_behind_source", status.get("seconds_behind_master"))
    shows = BEGINNING
    if behind is not None:
        oldest_s = (requested_at - BEGINNING) // timedelta(seconds=1)
        shows = requested_at - timedelta(seconds=min(int(behind), oldest_s)) - ROUNDING
    return Freshness(
        requested_at=requested_at,
        shows=shows,
        is_replica=True,
        reason=", ".join(_reasons(status, order_kept=order_kept)),
    )


def _reasons(status: Mapping[str, Any], *, order_kept: bool) -> Iterable[str]:
    for name, what in (("io", "it receives nothing from a primary"), ("sql", "it applies nothing")):
        state = status.get(f"replica_{name}_running", status.get(f"slave_{name}_running"))
        if state != "Yes":
            error = status.get(f"last_{name}_error")
            yield f"{what} ({error})" if error else what
    if status.get("sql_delay"):
        yield f"it is configured to stay {status['sql_delay']} s behind"
    if not order_kept:
        yield (
            "it applies transactions in parallel and not in their order, so that it shows what the"
            " primary never did: SET GLOBAL replica_preserve_commit_order = ON there"
        )


async def _status(
    session: Session, database: Database, *, is_read_only: bool
) -> Mapping[str, Any] | None:
    for query in STATUS:
        try:
            return await session.named("ask how far the replica is", query)
        except ConfigError as exc:
            number = number_of(exc.__cause__ or exc)
            session.mend()
            # A primary that is read-only for a while is refused, too: to take an old replica for
            # fresh would date its cuts wrong.
            if number == DENIED and is_read_only:
                raise _unseen(database) from exc
            if number == DENIED:
                return None  # a server that can be written counts as a primary
            if number != SYNTAX:
                raise
    return None


def _unseen(database: Database) -> ConfigError:
    return ConfigError(
        f"{database.name}: the server only reads, as a replica does, and this user may not see"
        " how far it is",
        hint="GRANT REPLICATION CLIENT ON *.* TO <user> (MariaDB 10.5 on: GRANT REPLICA MONITOR"
        " ON *.* TO <user>)",
    )


async def _order_kept(session: Session) -> bool:
    """Return whether a replica commits in the order of its primary.

    MariaDB's parallel appliers always do within one domain.
    """
    if session.is_mariadb:
        return True
    found = {
        str(name).lower(): str(value).lower()
        for name, value in await session.fetch(
            "ask how the replica applies",
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('replica_parallel_workers',"
            " 'slave_parallel_workers', 'replica_preserve_commit_order',"
            " 'slave_preserve_commit_order')",
        )
    }
    workers = found.get("replica_parallel_workers", found.get("slave_parallel_workers", "0"))
    order = found.get("replica_preserve_commit_order", found.get("slave_preserve_commit_order"))
    return int(workers) <= 1 or order in {"on", "1"}
