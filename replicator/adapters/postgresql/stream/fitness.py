"""Whether a PostgreSQL server can stream its commits; what is missing comes with its SQL."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from replicator.adapters.postgresql.sql import Shape, literal, quoted
from replicator.adapters.postgresql.stream.slot import Slot, StreamLook, StreamOptions
from replicator.model.row import TABLES, Kind
from replicator.model.stream import Lsn, lsn_text
from replicator.ports import Obstacle

PLUGIN: Final = "pgoutput"
SAME_AS_TEXT: Final = frozenset(
    {
        *("text", "character varying", "json", "jsonb", "uuid", "bytea", "boolean"),
        *("smallint", "integer", "bigint", "numeric", "real", "double precision"),
        *("date", "timestamp without time zone", "timestamp with time zone"),
    }
)
"""Types that the stream writes like a cast to text, apart from booleans."""
NO_LIMIT: Final = "-1"


def unable(slot: Slot) -> Iterator[Obstacle]:
    """Yield why the server cannot stream its commits to this role at all."""
    if slot.is_replica:
        yield Obstacle(
            what="the source is a replica, and slots are its primary's",
            remedy="name the primary in `source.metadata.url`: ?target_session_attrs=read-write",
        )
        return
    if slot.wal_level != "logical":
        yield Obstacle(
            what=f"wal_level is {slot.wal_level}",
            remedy="ALTER SYSTEM SET wal_level = logical; then restart the server",
        )
    if not slot.may_replicate:
        yield Obstacle(
            what="the role may not use replication slots",
            remedy="ALTER ROLE <role> REPLICATION; on Amazon RDS: GRANT rds_replication TO <role>;",
        )


def unusable(slot: Slot, options: StreamOptions) -> Iterator[Obstacle]:
    """Yield why the server does not stream its commits through the slot."""
    yield from unable(slot)
    if not slot.is_there:
        yield Obstacle(
            what=f"there is no replication slot {options.slot}",
            remedy="`replicator stream create` makes it; or, in Druid's database: SELECT"
            f" pg_create_logical_replication_slot({literal(options.slot)}, '{PLUGIN}');",
        )
    elif slot.plugin != PLUGIN or not slot.is_here:
        yield Obstacle(
            what=f"the replication slot {options.slot} is of another plugin or another database",
            remedy="choose another name: source.metadata.change_stream.slot",
        )
    elif slot.invalid is not None:
        yield Obstacle(
            what=f"the replication slot {options.slot} is lost: {slot.invalid}",
            remedy="`replicator stream drop`, then `replicator stream create`",
        )


def unpublished(
    look: StreamLook, shapes: Mapping[Kind, Shape], options: StreamOptions
) -> Iterator[Obstacle]:
    """Yield why the publication does not have all changes of the tables."""
    tables, name = look.tables, quoted(options.publication)
    for kind in sorted(tables):
        yield from _untellable(tables[kind], shapes[kind])
    first = next(iter(tables.values()))
    if not first["is_there"]:
        relations = ", ".join(shapes[kind].relation for kind in sorted(shapes))
        yield Obstacle(
            what=f"there is no publication {options.publication}",
            remedy=f"CREATE PUBLICATION {name} FOR TABLE {relations};",
        )
        return
    if not first["tells_all"]:
        yield Obstacle(
            what=f"the publication {options.publication} leaves out some operations",
            remedy=f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete, truncate');",
        )
    for kind in sorted(tables):
        found, table = tables[kind], shapes[kind].relation
        if not found["is_for_all"] and not found["is_member"]:
            yield Obstacle(
                what=f"the publication {options.publication} does not name {table}",
                remedy=f"ALTER PUBLICATION {name} ADD TABLE {table};",
            )
        elif found["is_partial"]:
            yield Obstacle(
                what=f"the publication {options.publication} has only a part of {table}",
                remedy=f"ALTER PUBLICATION {name} DROP TABLE {table};"
                f" ALTER PUBLICATION {name} ADD TABLE {table};",
            )


def _untellable(found: Mapping[str, Any], shape: Shape) -> Iterator[Obstacle]:
    if not found["named"] and found["identity"] != "f":
        yield Obstacle(
            what=f"{shape.relation} has no replica identity: once it is published, its own Druid"
            " cannot update or delete rows",
            remedy=f"ALTER TABLE {shape.relation} REPLICA IDENTITY FULL; before it is published",
        )
    if found["has_generated"]:
        yield Obstacle(
            what=f"{shape.relation} has a generated column, which no stream tells",
            remedy="leave `source.metadata.change_stream` out: polls read it",
        )
    for name in shape.extras:
        if (type_ := shape.types[name]) not in SAME_AS_TEXT:
            yield Obstacle(
                what=f"{shape.relation} has a column {quoted(name)} of the type {type_}, which the"
                " stream writes in another way than a poll reads it",
                remedy="leave `source.metadata.change_stream` out: polls read it",
            )


def advice(look: StreamLook, shapes: Mapping[Kind, Shape]) -> Sequence[str]:
    """Return what is not necessary, but recommended."""
    slot, tables, found = look.slot, look.tables, list[str]()
    if slot.keep_size in {None, NO_LIMIT} and not slot.is_replica:
        found.append(
            "nothing but this program's watcher keeps the slot from filling the source's disk; as a"
            " superuser: ALTER SYSTEM SET max_slot_wal_keep_size = '16GB'; SELECT pg_reload_conf();"
        )
    for kind in sorted(tables):
        table, shape, key = tables[kind], shapes[kind], TABLES[kind].key
        if table["named"] and not set(key) <= set(table["named"]) and not TABLES[kind].newest_by:
            found.append(
                f"a row that is deleted from {shape.relation} costs a full scan, because its key is"
                f" not reported: ALTER TABLE {shape.relation} REPLICA IDENTITY FULL;"
            )
    return found


def moved_text(confirmed: int, at: Lsn) -> str:
    """Return a message for a slot that has left out commits."""
    return (
        f"the slot begins at {lsn_text(Lsn(confirmed))}, after {lsn_text(at)} where the log ends:"
        " it was made anew, or another program has moved it"
    )
