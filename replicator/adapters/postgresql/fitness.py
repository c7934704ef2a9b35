"""Whether a target's tables can be written correctly: keys, sequences, privileges.

Tables that were filled by COPY, a dump or logical replication look like those that Druid made, but
their sequences may be behind their rows, and their keys may be missing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from replicator.adapters.postgresql.session import Database, PostgresqlSession
from replicator.adapters.postgresql.sql import Shape, quoted
from replicator.errors import ConfigError
from replicator.model.row import Kind
from replicator.ports import Obstacle

DRAWN_MAX: Final = 10_000_000
"""Limit for numbers drawn to advance a sequence: some seconds, and more than any table's rows."""
UNIQUE: Final = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_index AS index
    WHERE index.indrelid = to_regclass($1)
      AND index.indisunique AND index.indisvalid AND index.indimmediate
      AND index.indpred IS NULL AND index.indexprs IS NULL
      AND $2::text[] = (
        SELECT array_agg(attribute.attname::text ORDER BY attribute.attname::text COLLATE "C")
        FROM unnest(index.indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
        JOIN pg_catalog.pg_attribute AS attribute
          ON attribute.attrelid = index.indrelid AND attribute.attnum = part.attnum
        WHERE part.place <= index.indnkeyatts
      )
)
"""
"""Whether ON CONFLICT finds an index for the columns $2, sorted, of the table $1."""
PRIVILEGES: Final = """
SELECT privilege FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) AS privilege
WHERE NOT has_table_privilege(to_regclass($1)::oid, privilege)
"""
SEQUENCE: Final = """
SELECT sequence.oid::regclass::text AS name,
       has_sequence_privilege(sequence.oid, 'USAGE') AS usable,
       CASE WHEN has_sequence_privilege(sequence.oid, 'USAGE')
            THEN coalesce(pg_sequence_last_value(sequence.oid),
                          declared.seqstart - declared.seqincrement)
       END AS last
FROM pg_catalog.pg_attribute AS attribute
LEFT JOIN pg_catalog.pg_attrdef AS given
  ON given.adrelid = attribute.attrelid AND given.adnum = attribute.attnum
JOIN pg_catalog.pg_depend AS needs
  ON (needs.classid = 'pg_attrdef'::regclass AND needs.objid = given.oid
      AND needs.refclassid = 'pg_class'::regclass)
  OR (needs.classid = 'pg_class'::regclass AND needs.deptype = 'i'
      AND needs.refclassid = 'pg_class'::regclass AND needs.refobjid = attribute.attrelid
      AND needs.refobjsubid = attribute.attnum)
JOIN pg_catalog.pg_class AS sequence
  ON sequence.relkind = 'S' AND sequence.oid = CASE needs.classid
      WHEN 'pg_class'::regclass THEN needs.objid ELSE needs.refobjid END
JOIN pg_catalog.pg_sequence AS declared ON declared.seqrelid = sequence.oid
WHERE attribute.attrelid = to_regclass($1) AND attribute.attname = $2
"""
"""Finds the sequence of a column: that of its default, or of an identity column."""
DRAW: Final = "SELECT max(nextval($1::text::regclass)) FROM generate_series(1, $2::bigint)"
"""Drawing never sets a sequence back, even with other writers, and needs only USAGE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A column that is numbered by a sequence, and how far both are."""

    relation: str
    column: str
    largest: int
    """Largest value in the table; 0 without rows."""
    sequence: str | None
    """Name of the sequence in the server's spelling; None if no sequence fills the column."""
    usable: bool
    last: int | None
    """Last value of the sequence; None if this role may not see it."""

    @property
    def behind(self) -> int:
        """Count of numbers to draw until the next one is larger than those of all rows."""
        return 0 if self.last is None else max(0, self.largest - self.last)


async def count_of(session: PostgresqlSession, shape: Shape) -> Count | None:
    """Return how far a table's sequence is, None for a table without a numbered column.

    Raises:
        ConfigError: the column is not one of whole numbers.
    """
    if (column := shape.table.numbered) is None or column not in shape.types:
        return None
    query = f"SELECT coalesce(max({quoted(column)}), 0) FROM {shape.relation}"  # noqa: S608 - quoted names
    largest = await session.value(f"read {shape.relation}", query)
    if not isinstance(largest, int):
        raise ConfigError(
            f"{shape.relation}: {quoted(column)} is no column of whole numbers, as Druid makes it",
            hint=f"ALTER TABLE {shape.relation} ALTER {quoted(column)} TYPE bigint",
        )
    rows = await session.fetch("look for sequences", SEQUENCE, shape.relation, column)
    sequence, usable, last = rows[0] if rows else (None, False, None)
    return Count(
        relation=shape.relation,
        column=column,
        largest=largest,
        sequence=sequence,
        usable=usable,
        last=last,
    )


async def put_forward(session: PostgresqlSession, shape: Shape) -> None:
    """Make the next number of a table larger than those of all of its rows.

    In `druid_supervisors` Druid takes the row with the largest id as the newest one
    (SQLMetadataSupervisorManager), so a smaller id would leave the former spec in force.

    Raises:
        ConfigError: the sequence is too far behind, or cannot go so far.
    """
    count = await count_of(session, shape)
    if count is None or count.sequence is None or not count.behind:
        return
    if count.behind > DRAWN_MAX:
        raise ConfigError(_behind(count), hint=_setval(count))
    drawn = await session.value(f"put {count.sequence} forward", DRAW, count.sequence, count.behind)
    # A sequence that cycles, or whose maximum is smaller, never gets there.
    if drawn < count.largest:
        raise ConfigError(_behind(count), hint=_setval(count))


async def obstacles(
    session: PostgresqlSession, database: Database, shapes: Mapping[Kind, Shape]
) -> Sequence[Obstacle]:
    """Return what would make a write fail or go wrong; nothing is changed."""
    found = [*await _read_only(session)]
    for kind in sorted(shapes):
        shape = shapes[kind]
        found += await _privileges(session, shape)
        found += await _unique(session, shape)
        found += _counted(await count_of(session, shape))
    return [Obstacle(what=f"{database.name}: {one.what}", remedy=one.remedy) for one in found]


async def _read_only(session: PostgresqlSession) -> Iterable[Obstacle]:
    if await session.value("look whether it can be written", "SHOW transaction_read_only") == "off":
        return []
    remedy = "name the primary, or all hosts with ?target_session_attrs=read-write in the URL"
    return [Obstacle(what="the server only reads, as a replica does", remedy=remedy)]


async def _privileges(session: PostgresqlSession, shape: Shape) -> Iterable[Obstacle]:
    rows = await session.fetch("look for privileges", PRIVILEGES, shape.relation)
    if missing := ", ".join(row[0] for row in rows):
        grant = f"GRANT {missing} ON {shape.relation} TO <role>"
        return [Obstacle(what=f"the role may not {missing} in {shape.relation}", remedy=grant)]
    return []


async def _unique(session: PostgresqlSession, shape: Shape) -> Iterable[Obstacle]:
    wanted = sorted(shape.table.key)
    if shape.table.newest_by or await session.value(
        "look for keys", UNIQUE, shape.relation, wanted
    ):
        return []
    key = ", ".join(map(quoted, shape.table.key))
    return [
        Obstacle(
            what=f"{shape.relation} has no primary key or unique index on {key}",
            remedy=f"ALTER TABLE {shape.relation} ADD PRIMARY KEY ({key});"
            " Druid makes its tables with it",
        )
    ]


def _counted(count: Count | None) -> Iterable[Obstacle]:
    if count is None:
        return []
    if count.sequence is None:
        made = f"CREATE SEQUENCE <name>; ALTER TABLE {count.relation} ALTER {quoted(count.column)}"
        return [
            Obstacle(
                what=f"no sequence counts up {quoted(count.column)} of {count.relation}",
                remedy=f"{made} SET DEFAULT nextval('<name>'); then set it to {count.largest}",
            )
        ]
    if not count.usable:
        return [
            Obstacle(
                what=f"the role may not draw numbers from {count.sequence}",
                remedy=f"GRANT USAGE ON SEQUENCE {count.sequence} TO <role>",
            )
        ]
    if count.behind:
        return [Obstacle(what=_behind(count), remedy=_setval(count))]
    return []


def _behind(count: Count) -> str:
    return (
        f"{count.sequence} stands at {count.last}, and {count.relation} has rows up to"
        f" {count.largest}: a new row would clash with an older one, or not be the newest"
    )


def _setval(count: Count) -> str:
    return (
        "`replicator target create TARGET` puts it forward, or as its owner:"
        f" SELECT setval('{count.sequence}', {count.largest})"
    )
