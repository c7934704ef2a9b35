"""Whether a target's tables and server can be written correctly.

Whether this user may write is found out by EXPLAIN of statements that change nothing: grants come
from roles, patterns and the server's own tables, and only the server knows their sum.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from replicator.adapters.mysql.session import Database, Session
from replicator.adapters.mysql.sql import Shape, places, quoted, ticked
from replicator.errors import ConfigError, ReplicatorError
from replicator.model.row import Kind
from replicator.ports import Obstacle

PACKET_BYTES_MIN: Final = 16 << 20
"""MariaDB's default; a smaller value was chosen by an administrator."""
UNIQUE: Final = """
SELECT COUNT(*) FROM (
    SELECT INDEX_NAME FROM information_schema.STATISTICS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND NON_UNIQUE = 0
    GROUP BY INDEX_NAME HAVING COUNT(*) = ? AND SUM(LOWER(COLUMN_NAME) IN ({names})) = ?
) AS found
"""
COUNTED: Final = """
SELECT COUNT(*) FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND LOWER(COLUMN_NAME) = ?
  AND EXTRA LIKE '%auto_increment%'
"""
SETTINGS: Final = "SELECT @@global.read_only, @@global.log_bin, @@global.binlog_format"


async def obstacles(
    session: Session, database: Database, shapes: Mapping[Kind, Shape]
) -> Sequence[Obstacle]:
    """Return what would make a write fail or go wrong; nothing is changed."""
    found = [*await _settings(session)]
    for kind in sorted(shapes):
        shape = shapes[kind]
        found += await _privileges(session, database, shape)
        found += await _unique(session, shape)
        found += await _counted(session, shape)
    return [Obstacle(what=f"{database.name}: {one.what}", remedy=one.remedy) for one in found]


async def _settings(session: Session) -> Iterable[Obstacle]:
    ((read_only, log_bin, binlog_format),) = await session.fetch("look for settings", SETTINGS)
    found: list[Obstacle] = []
    if read_only:
        found.append(
            Obstacle(
                what="the server only reads (read_only)",
                remedy="name the primary, or SET GLOBAL read_only = OFF (super_read_only on MySQL)",
            )
        )
    if log_bin and binlog_format == "STATEMENT":
        found.append(
            Obstacle(
                what="binlog_format STATEMENT cannot log transactions of READ COMMITTED",
                remedy="SET GLOBAL binlog_format = 'ROW', and in the server's configuration file",
            )
        )
    if session.packet_bytes_max < PACKET_BYTES_MIN:
        found.append(
            Obstacle(
                what=f"max_allowed_packet is {session.packet_bytes_max} bytes: a larger payload"
                " could not be written",
                remedy="SET GLOBAL max_allowed_packet = 67108864, and in the server's configuration"
                " file",
            )
        )
    return found


async def _privileges(session: Session, database: Database, shape: Shape) -> Iterable[Obstacle]:
    column = quoted(shape.table.key[0])
    statements = {
        "INSERT": f"INSERT INTO {shape.relation} ({column}) VALUES ('')",  # noqa: S608 - quoted names
        "UPDATE": f"UPDATE {shape.relation} SET {column} = {column} WHERE FALSE",  # noqa: S608 - quoted names
        "DELETE": f"DELETE FROM {shape.relation} WHERE FALSE",  # noqa: S608 - quoted names
    }  # fmt: skip
    missing: list[str] = []
    for privilege, statement in statements.items():
        try:
            await session.fetch("look for privileges", f"EXPLAIN {statement}")
        except ConfigError:
            missing.append(privilege)
        except ReplicatorError:
            pass  # a read-only server refuses whatever is granted: that is reported above
        finally:
            session.mend()
    if not missing:
        return []
    place = f"{ticked(database.address.database)}.{ticked(shape.name)}"
    return [
        Obstacle(
            what=f"the user may not {', '.join(missing)} in {shape.relation}",
            remedy=f"GRANT {', '.join(missing)} ON {place} TO <user>",
        )
    ]


async def _unique(session: Session, shape: Shape) -> Iterable[Obstacle]:
    key = shape.table.key
    query, count = UNIQUE.format(names=places(len(key))), len(key)
    if shape.table.newest_by or await session.value(
        "look for keys", query, shape.name, count, *key, count
    ):
        return []
    return [
        Obstacle(
            what=f"{shape.relation} has no primary key or unique index on"
            f" {', '.join(map(quoted, key))}",
            remedy=f"ALTER TABLE {ticked(shape.name)} ADD PRIMARY KEY"
            f" ({', '.join(map(ticked, key))});"
            " Druid makes its tables with it",
        )
    ]


async def _counted(session: Session, shape: Shape) -> Iterable[Obstacle]:
    column = shape.table.numbered
    if column is None or await session.value("look for counts", COUNTED, shape.name, column):
        return []
    return [
        Obstacle(
            what=f"nothing counts up {quoted(column)} of {shape.relation}",
            remedy=f"ALTER TABLE {ticked(shape.name)} MODIFY {ticked(column)} BIGINT NOT NULL"
            f" AUTO_INCREMENT, ADD UNIQUE KEY ({ticked(column)}); Druid makes its tables so",
        )
    ]
