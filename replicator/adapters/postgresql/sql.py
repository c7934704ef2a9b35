"""The statements of the PostgreSQL adapter, as pure text.

The fingerprint here and `model.fingerprint` are one definition in two languages; so are the key
hashes (tests/integration/test_postgresql.py compares them over random rows in every layout).
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from replicator.adapters.found_table import FoundTable
from replicator.adapters.kept_rows import GAP_COLUMNS, OWN_BYTES_MAX, ROW_BYTES
from replicator.model.checkpoint import FORMER_PAUSED
from replicator.model.fingerprint import KEY_HASH_BYTES, text_columns
from replicator.model.row import Kind, Table

USED_STATUS = "used_status_last_updated"
PADDED = "character"
"""The type that PostgreSQL fills up with blanks."""
ISO_MS = (
    r"^[1-9]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d\.\d{3}Z$"
)
"""Druid's form of timestamps: UTC with milliseconds, so texts sort like times."""
COLUMNS = """
SELECT class.relname, attribute.attname, format_type(attribute.atttypid, NULL),
       has_column_privilege(class.oid, attribute.attnum, 'SELECT')
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = class.relnamespace
JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE namespace.nspname = $1 AND class.relname = ANY($2::text[]) AND class.relkind = 'r'
  AND attribute.attnum > 0 AND NOT attribute.attisdropped
ORDER BY class.relname, attribute.attnum
"""
"""Every role may read the catalogue, also for tables that it must not read. Only ordinary tables
count: a ctid does not name a row of a view, and not uniquely a row of a partitioned table."""


@dataclass(frozen=True, kw_only=True)
class Shape(FoundTable):
    """One table as one database has it; types are without their lengths."""

    relation: str
    """Name in a statement: qualified and quoted."""

    @property
    def stamped(self) -> bool:
        """Whether an upsert needs the current time."""
        owned = {"created_date", "version", USED_STATUS} & self.table.target_owned
        return not owned.isdisjoint(self.types)


def quoted(name: str) -> str:
    """Return an identifier that keeps its case and cannot end early."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Return a string constant; with `standard_conforming_strings` backslashes are plain."""
    return "'" + text.replace("'", "''") + "'"


def relation(schema: str, name: str) -> str:
    """Return a qualified table name."""
    return f"{quoted(schema)}.{quoted(name)}"


def key_sql(table: Table) -> str:
    """Return the expression that equals `Table.key_text`; for most tables it is one column."""
    if len(table.key) == 1 and not table.source_only:
        return quoted(*table.key)
    return "(" + " || '.' || ".join(f"{quoted(name)}::text" for name in table.key) + ")"


def bytes_sql(table: Table, name: str) -> str:
    """Return a column of bytes, with the value that a NULL stands for."""
    if table.absent is None:
        return quoted(name)
    return f"coalesce({quoted(name)}, '\\x{table.absent.hex()}'::bytea)"


def key_hash_sql(table: Table) -> str:
    """Return the expression that equals `model.fingerprint.key_hash`."""
    text = rf"E'{table.kind.value}\x1f' || {key_sql(table)}"
    return f"substring(sha256(convert_to({text}, 'UTF8')) FOR {KEY_HASH_BYTES})"


def fingerprint_sql(shape: Shape, columns: frozenset[str]) -> str:
    """Return the expression that equals `model.fingerprint.fingerprint` over `columns`.

    `concat_ws` omits NULLs together with their separator, which is right for unknown columns;
    known columns are never NULL at this point. The empty last part adds the separator before the
    payload.
    """
    parts = [literal(shape.table.kind.value)]
    for name in text_columns(shape.table.kind):
        present = name in shape.types and name in columns
        parts.append(rf"coalesce({_text(shape, name)}, E'\x1e')" if present else r"E'\x1e'")
    extras = (name for name in shape.extras if name in columns)
    parts += [f"{literal(name + '=')} || {quoted(name)}::text" for name in extras]
    text = rf"concat_ws(E'\x1f', {', '.join(parts)}, '')"
    payload = bytes_sql(shape.table, shape.table.payload)
    return f"sha256(convert_to({text}, 'UTF8') || {payload})"


class Chosen(StrEnum):
    """Which rows a scan visits: the condition that $1 is for."""

    ALL = ""
    DATASOURCES = ' WHERE "datasource" = ANY($1::text[])'
    PLACES = " WHERE handle = ANY($1::tid[])"


def scan_sql(shape: Shape, columns: frozenset[str], chosen: Chosen, *, versions: bool) -> str:
    """Return the query of a scan: key hash, fingerprint and ctid of each row, and its xmin."""
    found = f"{key_hash_sql(shape.table)}, {fingerprint_sql(shape, columns)}, handle"
    found += ", stamp" if versions else ""
    return f"SELECT {found} FROM {_rows(shape, versions=versions)}{chosen.value}"  # noqa: S608 - quoted names


def versions_sql(shape: Shape) -> str:
    """Return the query for ctid and xmin of each row that a scan would visit."""
    return f"SELECT handle, stamp FROM {_rows(shape, versions=True)}"  # noqa: S608 - quoted names


HASH: Final = "hash_record_extended(ROW(ctid, xmin), 0)"
"""PostgreSQL 14 and later: https://www.postgresql.org/docs/14/release-14.html."""
IS_NEW: Final = "age(xmin) BETWEEN 0 AND age($1::text::xid)"
"""Whether a row was written by transaction $1 or a later one; an age is negative once 2^31
transactions have passed."""


def version_digest_sql(shape: Shape) -> str:
    """Return the query for the number of rows that are not new, their digest, and how many are new.

    It is one scan of the table, as that of all versions: PostgreSQL then reads ahead, and into few
    of its buffers. A scan by ranges of ctid takes half as much CPU again, and fills its buffers.
    """
    return (
        "SELECT count(*) FILTER (WHERE NOT is_new) AS rows,"  # noqa: S608 - quoted names
        " coalesce(bit_xor(hash) FILTER (WHERE NOT is_new), 0) AS digest,"
        " count(*) FILTER (WHERE is_new) AS new"
        f" FROM (SELECT {HASH} AS hash, {IS_NEW} AS is_new FROM {shape.relation}) AS rows"
    )


def new_versions_sql(shape: Shape) -> str:
    """Return the query for ctid, xmin and hash of the rows that are new."""
    return f"SELECT ctid, xmin, {HASH} AS hash FROM {shape.relation} WHERE {IS_NEW}"  # noqa: S608 - quoted names


def probe_sql(shapes: Iterable[Shape]) -> str:
    """Return a query for the versions of no row, which fails if rows have no versions."""
    return " UNION ALL ".join(
        f"SELECT ctid::tid, xmin::xid FROM {shape.relation} WHERE false"  # noqa: S608 - quoted names
        for shape in shapes
    )


def _rows(shape: Shape, *, versions: bool) -> str:
    names = f"{_list(shape.types)}, ctid AS handle" + (", xmin AS stamp" if versions else "")
    if not shape.table.newest_by:
        return f"(SELECT {names} FROM {shape.relation}) AS rows"  # noqa: S608 - quoted names
    key = key_sql(shape.table)
    return (
        f"(SELECT DISTINCT ON ({key}) {names} FROM {shape.relation}"  # noqa: S608 - quoted names
        f" ORDER BY {key}, {_newest(shape)}) AS rows"
    )


def fetch_sql(shape: Shape) -> str:
    """Return the query for whole rows by ctid ($1): known columns, then unknown ones as text."""
    extras = [f"{quoted(name)}::text" for name in shape.extras]
    known = (_known(shape, name) for name in shape.known)
    names = ", ".join([*known, *extras])
    return f"SELECT {names} FROM {shape.relation} WHERE ctid = ANY($1::tid[])"  # noqa: S608 - quoted names


def _known(shape: Shape, name: str) -> str:
    if name in shape.table.in_bytes:
        return bytes_sql(shape.table, name)
    # a cast drops the blanks that fill up a `character`, here as in the fingerprint
    return f"{quoted(name)}::text" if shape.types[name] == PADDED else quoted(name)


def size_sql(shape: Shape) -> str:
    """Return the query for the size of some rows by ctid ($1) together, and for the key of one.

    The size of a text and of bytes is in their head: none of them is unpacked for it.
    """
    sizes = (
        f"coalesce(octet_length({quoted(name)}{'' if type_ == 'bytea' else '::text'}), 0)::bigint"
        for name, type_ in shape.types.items()
    )
    return (
        f"SELECT coalesce(sum(size), 0)::bigint, left(min(key), 200) FROM ("  # noqa: S608 - quoted names
        f"SELECT {' + '.join(sizes)} AS size, {key_sql(shape.table)}::text AS key"
        f" FROM {shape.relation} WHERE ctid = ANY($1::tid[])) AS rows"
    )


def upsert_sql(shape: Shape) -> str:
    """Return the statement that makes rows exist; equal rows are left alone.

    Its parameters are one array for each of `Shape.written`, then now if the shape is `stamped`.
    Equal rows are looked up first and not even locked, because locks are written to the WAL.
    """
    if shape.table.newest_by:
        return _append_sql(shape)
    names, values = list(map(quoted, shape.written)), [_cast(shape, name) for name in shape.written]
    changes = [f"{name} = EXCLUDED.{name}" for name in names]
    if shape.stamped:
        names.append(quoted(USED_STATUS))
        values.append(_now(shape))
        changes.append(f"{names[-1]} = {later_sql(f'old.{names[-1]}', _now(shape))}")
    return (
        f"INSERT INTO {shape.relation} AS old ({', '.join(names)})"  # noqa: S608 - quoted names
        f" SELECT {', '.join(values)} FROM {_new_rows(shape)} {_former(shape, 'LIMIT 1')}"
        f" WHERE ({_contents(shape, 'former')}) IS DISTINCT FROM ({_news(shape)})"
        f" ON CONFLICT ({_list(shape.table.key)}) DO UPDATE SET {', '.join(changes)}"
        f" WHERE ({_contents(shape, 'old')}) IS DISTINCT FROM ({_contents(shape, 'EXCLUDED')})"
    )


def _append_sql(shape: Shape) -> str:
    owned = _owned(shape)
    names = [*map(quoted, shape.written), *map(quoted, owned)]
    values = [*(_cast(shape, name) for name in shape.written), *owned.values()]
    former = _former(shape, f"ORDER BY {_newest(shape)} LIMIT 1")
    return (
        f"INSERT INTO {shape.relation} ({', '.join(names)})"  # noqa: S608 - quoted names
        f" SELECT {', '.join(values)} FROM {_new_rows(shape)} {former}"
        f" WHERE ({_contents(shape, 'former')}) IS DISTINCT FROM ({_news(shape)})"
    )


def _former(shape: Shape, which: str) -> str:
    """Join each new row to the existing one; the limit keeps this a lookup by the key."""
    same = " AND ".join(f"old.{key} = new.{key}" for key in map(quoted, shape.table.key))
    return (
        f"LEFT JOIN LATERAL (SELECT {_list(shape.types)} FROM {shape.relation} AS old"  # noqa: S608 - quoted names
        f" WHERE {same} {which}) AS former ON true"
    )


def _news(shape: Shape) -> str:
    return ", ".join(_cast(shape, name, text=True) for name in _content_names(shape))


def _owned(shape: Shape) -> Mapping[str, str]:
    """Return what Druid itself writes (SQLMetadataSupervisorManager, SQLMetadataRuleManager)."""
    if shape.table.kind is Kind.SUPERVISOR:
        return {"created_date": _now(shape)}
    version = later_sql('former."version"', _now(shape))
    return {"version": version, "id": f"new.\"datasource\" || '_' || {version}"}


def later_sql(former: str, now: str) -> str:
    """Return max(now, former + 1 ms); a former value that is no timestamp does not count.

    The day is added separately, so that every text that matches the pattern is a date.
    """
    first = f"(left({former}, 8) || '01' || substr({former}, 11, 13))::timestamp"
    days = f"(substr({former}, 9, 2)::int - 1) * interval '1 day'"
    moved = f"{first} + {days} + interval '1 millisecond'"
    return (
        f'CASE WHEN {former} ~ {literal(ISO_MS)} AND {former} >= {now} COLLATE "C"'
        f' THEN to_char({moved}, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\') ELSE {now} END'
    )


def remove_sql(shape: Shape) -> str:
    """Return the statement that removes all rows of the keys in $1."""
    return f"DELETE FROM {shape.relation} WHERE {key_sql(shape.table)} = ANY($1::text[])"  # noqa: S608 - quoted names


def remove_hashed_sql(shape: Shape) -> str:
    """Return the statement that removes all rows of the key hashes in $1."""
    return f"DELETE FROM {shape.relation} WHERE {key_hash_sql(shape.table)} = ANY($1::bytea[])"  # noqa: S608 - quoted names


def checkpoint_table_sql(relation: str) -> str:
    """Return the statement that creates the table of checkpoints, one row for each source."""
    return f"""
        CREATE TABLE IF NOT EXISTS {relation} (
            source text PRIMARY KEY,
            epoch bigint NOT NULL,
            log_id text,
            "offset" bigint,
            cut bigint,
            source_time timestamptz,
            digest text,
            paused boolean,
            promoted boolean,
            datasource text,
            applied_at timestamptz,
            store text
        )"""


def renew_checkpoints_sql(relation: str, columns: Collection[str]) -> Mapping[str, str]:
    """Return the statements that give an earlier table of checkpoints the columns of this one.

    Args:
        relation: Name of the table.
        columns: Names of its columns.

    Returns:
        The statements by the columns that they make.
    """
    found: dict[str, str] = {}
    if "paused" not in columns and FORMER_PAUSED in columns:
        found["paused"] = f"ALTER TABLE {relation} RENAME COLUMN {FORMER_PAUSED} TO paused"
    if "store" not in columns:
        found["store"] = f"ALTER TABLE {relation} ADD COLUMN IF NOT EXISTS store text"
    return found


def patient_sql(relation: str) -> str:
    """Return what meets a lock on the whole table, and then waits for rows without a limit.

    Without one of its own, that is: `statement_timeout` stays.
    """
    return f"SELECT FROM {relation} LIMIT 0; SET lock_timeout TO 0"


def become_writer_sql(relation: str) -> str:
    """Return the statement that takes the next epoch: $1 is the source, $2 the store, $3 anew.

    It returns no row if the store is another one, unless anew is true.
    """
    other = "former.store <> $2::text"
    kept = ", ".join(
        f'"{name}" = CASE WHEN {other} THEN NULL ELSE former."{name}" END'
        for name in ("log_id", "offset", "cut", "source_time", "digest", "datasource")
    )
    return (
        f"INSERT INTO {relation} AS former (source, epoch, store) VALUES ($1, 1, $2)"  # noqa: S608 - quoted names
        f" ON CONFLICT (source) DO UPDATE SET epoch = former.epoch + 1, {kept},"
        " store = coalesce($2, former.store)"
        f" WHERE $3::boolean OR ({other}) IS NOT TRUE RETURNING *"
    )


def gap_table_sql(relation: str) -> str:
    """Return the statement that creates the table of gaps."""
    return f"""
        CREATE TABLE IF NOT EXISTS {relation} (
            source text NOT NULL,
            kind text NOT NULL,
            key text NOT NULL,
            opened bigint NOT NULL,
            closed bigint,
            datasource text NOT NULL,
            reason text NOT NULL,
            detail text NOT NULL,
            long_key text,
            PRIMARY KEY (source, key, opened)
        )"""


def renew_gaps_sql(relation: str, columns: Collection[str]) -> Mapping[str, str]:
    """Return the statements that let an earlier table of gaps hold keys that no index takes."""
    if "long_key" in columns:
        return {}
    return {"long_key": f"ALTER TABLE {relation} ADD COLUMN IF NOT EXISTS long_key text"}


def renamed_table_sql(relation: str) -> str:
    """Return the statement that creates the table of datasources that are in no log."""
    return f"""
        CREATE TABLE IF NOT EXISTS {relation} (
            source text NOT NULL,
            datasource text NOT NULL,
            original text NOT NULL,
            "offset" bigint NOT NULL,
            cut bigint NOT NULL,
            source_time timestamptz NOT NULL,
            PRIMARY KEY (source, datasource)
        )"""


def note_renamed_sql(relation: str) -> str:
    """Return the statement that adds such a datasource if it is missing: columns in their order."""
    return (
        f"INSERT INTO {relation} VALUES ($1, $2, $3, $4, $5, $6)"  # noqa: S608 - quoted names
        " ON CONFLICT DO NOTHING"
    )


def forget_renamed_sql(relation: str) -> str:
    """Return the statement that removes such a datasource: $1 is the source, $2 its name."""
    return f"DELETE FROM {relation} WHERE source = $1 AND datasource = $2"  # noqa: S608 - quoted names


def record_checkpoint_sql(checkpoints: str, gaps: str) -> str:
    """Return the statement that sets a source's checkpoint; `acquire` has created the row.

    Gaps of another log than the new one, $2, go in the same round trip.
    """
    return (
        f"WITH forgotten AS (DELETE FROM {gaps} AS gap USING {checkpoints} AS at"  # noqa: S608 - quoted names
        " WHERE gap.source = $1 AND at.source = $1 AND at.log_id IS DISTINCT FROM $2)"
        f' UPDATE {checkpoints} SET log_id = $2, "offset" = $3, cut = $4, source_time = $5,'
        " digest = $6, paused = $7, promoted = $8, datasource = $9, applied_at = $10"
        " WHERE source = $1"
    )


def bounded_sql(query: str, columns: Collection[str], *, order: Sequence[str] = ()) -> str:
    """Return a query for rows of ours, of which none is sent if they are too large together.

    Beside each are their number and size; where there is none, these two come alone. All of it is
    one statement over one reading of the rows: whoever writes there cannot enlarge them between.

    Args:
        query: A query, or a statement with RETURNING, for the rows.
        columns: All of their columns.
        order: Columns to sort by.
    """
    sizes = (f"coalesce(octet_length({quoted(name)}::text), 0)::bigint" for name in sorted(columns))
    sorted_by = ", ".join(f"own.{quoted(name)}" for name in order)
    return (
        f"WITH own AS ({query}), size AS (SELECT count(*) AS own_rows,"  # noqa: S608 - quoted names
        f" coalesce(sum({ROW_BYTES} + {' + '.join(sizes)}), 0)::bigint AS own_bytes FROM own)"
        f" SELECT size.own_rows, size.own_bytes, own.* FROM size"
        f" LEFT JOIN own ON size.own_bytes <= {OWN_BYTES_MAX}"
        + (f" ORDER BY {sorted_by}" if sorted_by else "")
    )


def gaps_sql(gaps: str, checkpoints: str) -> str:
    """Return the query for the gaps of the log that a target follows: $1 the source, $2 the log."""
    return (
        f"SELECT gap.* FROM {gaps} AS gap JOIN {checkpoints} AS at USING (source)"  # noqa: S608 - quoted names
        " WHERE gap.source = $1 AND at.log_id = $2"
    )


def record_gaps_sql(relation: str) -> str:
    """Return the statement that opens or closes gaps: $1 is the source, then GAP_COLUMNS."""
    names = ", ".join(GAP_COLUMNS)
    types = ["bigint" if name in {"opened", "closed"} else "text" for name in GAP_COLUMNS]
    arrays = ", ".join(f"${i}::{type_}[]" for i, type_ in enumerate(types, start=2))
    changes = ", ".join(f"{name} = EXCLUDED.{name}" for name in GAP_COLUMNS)
    return (
        f"INSERT INTO {relation} (source, {names})"  # noqa: S608 - quoted names
        f" SELECT $1, new.* FROM unnest({arrays}) AS new"
        f" ON CONFLICT (source, key, opened) DO UPDATE SET {changes}"
    )


def _now(shape: Shape) -> str:
    return f"${len(shape.written) + 1}::text"


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def _text(shape: Shape, name: str) -> str:
    if name in shape.table.blobs:
        return f"encode({bytes_sql(shape.table, name)}, 'hex')"
    boolean = "::int" if shape.types[name] == "boolean" else ""
    return f"{quoted(name)}{boolean}::text"


def _newest(shape: Shape) -> str:
    by = dict.fromkeys([shape.table.newest_by or "id", "id"])
    return ", ".join(f"{_sortable(shape, name)} DESC" for name in by)


def _sortable(shape: Shape, name: str) -> str:
    # byte order, as in Python, whatever the database's collation is
    text = shape.types[name] in {"character varying", "text"}
    return f'{quoted(name)} COLLATE "C"' if text else quoted(name)


def _cast(shape: Shape, name: str, *, text: bool = False) -> str:
    value = f"new.{quoted(name)}"
    if name in shape.extras:
        value += f"::{shape.types[name]}" + ("::text" if text else "")
    return value


def _new_rows(shape: Shape) -> str:
    types = ["text" if name in shape.extras else shape.types[name] for name in shape.written]
    arrays = ", ".join(f"${i}::{type_}[]" for i, type_ in enumerate(types, start=1))
    return f"unnest({arrays}) AS new ({_list(shape.written)})"


def _content_names(shape: Shape) -> Sequence[str]:
    return [name for name in shape.written if name not in shape.table.key]


def _contents(shape: Shape, row: str) -> str:
    # as text where the type differs: json, for one, cannot be compared
    names = _content_names(shape)
    return ", ".join(
        f"{row}.{quoted(name)}" + ("::text" if name in shape.extras else "") for name in names
    )
