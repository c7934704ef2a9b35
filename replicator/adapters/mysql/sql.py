"""The statements of the MySQL adapter, as pure text that MySQL and MariaDB both understand.

Two rules keep the fingerprint here and `model.fingerprint` one definition in two languages
(tests/integration/test_mysql.py compares them over random rows in every layout). Every text is
turned into its UTF-8 bytes before anything else: columns of one table may have different character
sets and collations, which cannot be concatenated, and which equate `Wiki` and `wiki`, or `wiki` and
`wiki` with a trailing blank. And values are sent as parameters or as hexadecimal literals, so that
no mode of the server decides what a backslash means.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from replicator.adapters.found_table import FoundTable
from replicator.adapters.kept_rows import GAP_COLUMNS, ROW_BYTES
from replicator.model.fingerprint import KEY_HASH_BYTES, text_columns
from replicator.model.row import Kind, Table

USED_STATUS: Final = "used_status_last_updated"
SPELLED: Final[Mapping[Kind, str]] = {
    Kind.COMMIT: "dataSource",
    Kind.SEGMENT_SCHEMA: "segmentSchemas",
    Kind.INDEXING_STATE: "indexingStates",
    Kind.TABLE_DEFINITION: "tableDefs",
}
"""Tables whose names Druid writes with capitals, which MySQL preserves on most file systems."""
BINARY_TYPES: Final = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob", "bit")
BOOLEAN: Final = "tinyint(1)"
"""Type that stands for BOOLEAN."""
COLUMNS: Final = """
SELECT CAST(tables.TABLE_NAME AS CHAR), CAST(columns.COLUMN_NAME AS CHAR),
       LOWER(CAST(columns.COLUMN_TYPE AS CHAR)),
       CAST(COALESCE(tables.ENGINE, tables.TABLE_TYPE) AS CHAR)
FROM information_schema.TABLES AS tables
JOIN information_schema.COLUMNS AS columns
  ON columns.TABLE_SCHEMA = tables.TABLE_SCHEMA AND columns.TABLE_NAME = tables.TABLE_NAME
WHERE tables.TABLE_SCHEMA = DATABASE() AND tables.TABLE_NAME IN ({names})
ORDER BY tables.TABLE_NAME, columns.ORDINAL_POSITION
"""
"""A user sees only the tables for which it has some privilege."""


class Shape(FoundTable):
    """One table as one database has it; columns are named in lower case, the table as spelled."""

    @property
    def relation(self) -> str:
        """Return the table's name in a statement."""
        return quoted(self.name)

    @property
    def handle(self) -> str:
        """Columns that identify a row: there is nothing like PostgreSQL's ctid."""
        return quoted("id") if self._has_ids else key_sql(self.table)

    @property
    def has_numbers(self) -> bool:
        """Whether a handle is a number."""
        return self._has_ids and "int" in self.types["id"]

    @property
    def _has_ids(self) -> bool:
        return bool(self.table.newest_by or self.table.source_only)

    @property
    def moves_on(self) -> bool:
        """Whether a change of a row must move its timestamp forward."""
        return USED_STATUS in self.table.target_owned and USED_STATUS in self.types


def spelled(table: Table) -> str:
    """Return a table's name as Druid writes it, without its prefix."""
    return SPELLED.get(table.kind, table.name)


def quoted(name: str) -> str:
    """Return an identifier that keeps its case and cannot end early; sessions have ANSI_QUOTES."""
    return '"' + name.replace('"', '""') + '"'


def ticked(name: str) -> str:
    """Return the same for a statement that an operator runs, in whatever mode."""
    return "`" + name.replace("`", "``") + "`"


def literal(value: str | bytes) -> str:
    """Return a constant of bytes."""
    data = value.encode() if isinstance(value, str) else value
    return f"x'{data.hex()}'"


def places(count: int) -> str:
    """Return so many placeholders for parameters."""
    return ", ".join("?" * count)


def binary_sql(column: str) -> str:
    """Return an expression for the bytes of a text, or of a number's digits."""
    return f"CAST(CONVERT({column} USING utf8mb4) AS BINARY)"


def text_sql(shape: Shape, name: str, *, row: str = "") -> str:
    """Return a column as the bytes of its text; unknown types as PostgreSQL writes them.

    So an unknown column means the same in the log, whatever database it came from.
    """
    column = f"{row}{quoted(name)}"
    unknown = name in shape.extras
    if name in shape.table.blobs:
        return f"CAST(LOWER(HEX({bytes_sql(shape.table, name, row=row)})) AS BINARY)"
    if shape.types[name] == BOOLEAN:
        yes, no = ("true", "false") if unknown else ("1", "0")
        return f"CASE WHEN {column} THEN {literal(yes)} WHEN NOT {column} THEN {literal(no)} END"
    if unknown and is_binary(shape.types[name]):
        return f"CAST(CONCAT({literal(BYTES_HEAD)}, LOWER(HEX({column}))) AS BINARY)"
    return binary_sql(column)


BYTES_HEAD: Final = "\\x"
"""Prefix of bytes that PostgreSQL writes as text."""


def is_binary(type_: str) -> bool:
    """Return whether a column holds bytes."""
    return type_.partition("(")[0] in BINARY_TYPES


def key_sql(table: Table, *, row: str = "") -> str:
    """Return the expression that equals `Table.key_text`, in the collation of the key's columns."""
    parts = [f"{row}{quoted(name)}" for name in table.key]
    return parts[0] if len(parts) == 1 else f"CONCAT_WS('.', {', '.join(parts)})"


def bytes_sql(table: Table, name: str, *, row: str = "") -> str:
    """Return a column of bytes, with the value that a NULL stands for."""
    column = f"{row}{quoted(name)}"
    return column if table.absent is None else f"COALESCE({column}, {literal(table.absent)})"


def key_hash_sql(table: Table) -> str:
    """Return the expression that equals `model.fingerprint.key_hash`."""
    head = literal(f"{table.kind.value}\x1f")
    text = f"CONCAT({head}, {binary_sql(key_sql(table))})"
    return f"LEFT(UNHEX(SHA2({text}, 256)), {KEY_HASH_BYTES})"


def fingerprint_sql(shape: Shape, columns: frozenset[str]) -> str:
    """Return the expression that equals `model.fingerprint.fingerprint` over `columns`.

    CONCAT_WS omits NULLs together with their separator, which is right for unknown columns; known
    columns are never NULL at this point. The empty last part adds the separator before the
    payload. The result is NULL if text and payload together are larger than `max_allowed_packet`:
    like all string functions, it raises no error.
    """
    parts = [literal(shape.table.kind.value)]
    for name in text_columns(shape.table.kind):
        present = name in shape.types and name in columns
        parts.append(f"COALESCE({text_sql(shape, name)}, x'1e')" if present else "x'1e'")
    extras = (name for name in shape.extras if name in columns)
    parts += [f"CONCAT({literal(name + '=')}, {text_sql(shape, name)})" for name in extras]
    text = f"CONCAT_WS(x'1f', {', '.join(parts)}, x'')"
    return f"UNHEX(SHA2(CONCAT({text}, {bytes_sql(shape.table, shape.table.payload)}), 256))"


def scan_sql(
    shape: Shape, columns: frozenset[str], *, datasources: Sequence[str] | None = None
) -> str:
    """Return the query of a scan: key hash, fingerprint and handle of each row as one value."""
    found = ", ".join(
        (
            key_hash_sql(shape.table),
            fingerprint_sql(shape, columns),
            binary_sql(shape.handle),
        )
    )
    where = [_newest_sql(shape)] if shape.table.newest_by else []
    if datasources is not None:
        where.append(_any_sql(binary_sql('"datasource"'), datasources))
    return f"SELECT CONCAT({found}) FROM {shape.relation} AS old{_where(where)}"  # noqa: S608 - quoted names


def unreadable_sql(shape: Shape, columns: frozenset[str]) -> str:
    """Return the query for one row without a fingerprint, and the size of its payload."""
    return (
        f"SELECT {binary_sql(key_sql(shape.table))}, LENGTH({quoted(shape.table.payload)})"  # noqa: S608 - quoted names
        f" FROM {shape.relation}"
        f" WHERE {key_hash_sql(shape.table)} IS NULL OR {fingerprint_sql(shape, columns)} IS NULL"
        " LIMIT 1"
    )


def whole_sql(shapes: Iterable[Shape]) -> str:
    """Return a query that fails unless every column of some tables may be read, as they are now.

    The second part of each looks at a row: then the server notices whether the table was altered
    since the snapshot was taken.
    """
    looks = (
        f"(SELECT COUNT(*) FROM (SELECT * FROM {shape.relation} LIMIT 0) AS whole),"  # noqa: S608 - quoted names
        f" (SELECT 1 FROM {shape.relation} LIMIT 1)"
        for shape in shapes
    )
    return f"SELECT {', '.join(looks)}"


def fetch_sql(shape: Shape, count: int) -> str:
    """Return the query for whole rows by handle: known columns, then unknown ones as text."""
    extras = [text_sql(shape, name) for name in shape.extras]
    table, handle = shape.table, shape.handle
    known = (
        bytes_sql(table, name) if name in table.in_bytes else quoted(name) for name in shape.known
    )
    names = ", ".join([*known, *extras])
    return (
        f"SELECT {names} FROM {shape.relation}"  # noqa: S608 - quoted names
        f" WHERE {handle} IN ({places(count)}) AND {binary_sql(handle)} IN ({places(count)})"
    )


def size_sql(shape: Shape, count: int) -> str:
    """Return the query for the size of some rows by handle together, and for the key of one."""
    sizes = (f"COALESCE(LENGTH({quoted(name)}), 0)" for name in shape.types)
    handle = shape.handle
    return (
        f"SELECT CAST(COALESCE(SUM({' + '.join(sizes)}), 0) AS SIGNED),"  # noqa: S608 - quoted names
        f" LEFT(MIN({binary_sql(key_sql(shape.table))}), 200) FROM {shape.relation}"
        f" WHERE {handle} IN ({places(count)}) AND {binary_sql(handle)} IN ({places(count)})"
    )


def existing_sql(shape: Shape, count: int) -> str:
    """Return the query for the rows that have some keys: key, timestamp and fingerprint.

    It compares by the key's own collation, so it also finds the rows with which an INSERT would
    clash. The rows that it finds stay as they are until the transaction ends.
    """
    stamp = "NULL"
    if shape.moves_on:
        stamp = quoted(USED_STATUS)
    elif shape.table.newest_by == "version":
        stamp = quoted("version")
    where, lock = [f"{key_sql(shape.table)} IN ({places(count)})"], " FOR UPDATE"
    if shape.table.newest_by:
        where, lock = [*where, _newest_sql(shape)], ""
    return (
        f"SELECT {binary_sql(key_sql(shape.table))}, {stamp},"  # noqa: S608 - quoted names
        f" {fingerprint_sql(shape, shape.compared)}"
        f" FROM {shape.relation} AS old{_where(where)}{lock}"
    )


def insert_sql(
    shape: Shape,
    names: Sequence[str],
    count: int,
    *,
    absent: frozenset[str] = frozenset(),
    over: bool = False,
) -> str:
    """Return the statement that adds rows; with `over` they replace the rows with their keys.

    Columns that are `absent` are NULL in each row, and no values are given for them.

    Since 8.0.20 MySQL prefers an alias, which MariaDB does not know; both know VALUES().
    """
    row = f"({', '.join('NULL' if one in absent else '?' for one in names)})"
    changes = ", ".join(f"{quoted(one)} = VALUES({quoted(one)})" for one in names)
    return (
        f"INSERT INTO {shape.relation} ({_list(names)})"  # noqa: S608 - quoted names
        f" VALUES {', '.join([row] * count)}"
        + (f" ON DUPLICATE KEY UPDATE {changes}" if over else "")
    )


def remove_sql(shape: Shape, count: int) -> str:
    """Return the statement that removes all rows of some keys, given as texts and again as bytes.

    The texts find rows by the index but equate `Wiki` and `wiki`; the bytes do not.
    """
    key = key_sql(shape.table)
    return (
        f"DELETE FROM {shape.relation}"  # noqa: S608 - quoted names
        f" WHERE {key} IN ({places(count)}) AND {binary_sql(key)} IN ({places(count)})"
    )


def keys_hashed_sql(shape: Shape, count: int) -> str:
    """Return the query for the keys of some key hashes."""
    return (
        f"SELECT DISTINCT {binary_sql(key_sql(shape.table))} FROM {shape.relation}"  # noqa: S608 - quoted names
        f" WHERE {key_hash_sql(shape.table)} IN ({places(count)})"
    )


OWN_TABLE: Final = "ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
"""Keys are VARBINARY: even utf8mb4_bin takes no notice of blanks at the end."""


def checkpoint_table_sql(relation: str) -> str:
    """Return the statement that creates the table of checkpoints, one row for each source."""
    return f"""
        CREATE TABLE IF NOT EXISTS {relation} (
            "source" VARBINARY(255) PRIMARY KEY,
            "epoch" BIGINT NOT NULL,
            "log_id" VARBINARY(1024),
            "offset" BIGINT,
            "cut" BIGINT,
            "source_time" DATETIME(6),
            "digest" VARCHAR(64),
            "paused" BOOLEAN,
            "promoted" BOOLEAN,
            "datasource" VARBINARY(1024),
            "applied_at" DATETIME(6),
            "store" VARCHAR(64)
        ) {OWN_TABLE}"""


def add_store_sql(relation: str) -> str:
    """Return the statement that lets a table of checkpoints from before say the store."""
    return f'ALTER TABLE {relation} ADD COLUMN "store" VARCHAR(64)'


def change_store_sql(relation: str) -> str:
    """Return the statement that forgets a checkpoint with its store: the new store, the source."""
    return (
        f'UPDATE {relation} SET "store" = ?, "log_id" = NULL, "offset" = NULL, "cut" = NULL,'  # noqa: S608 - quoted names
        ' "source_time" = NULL, "digest" = NULL, "datasource" = NULL WHERE "source" = ?'
    )


def gap_table_sql(relation: str) -> str:
    """Return the statement that creates the table of gaps."""
    return f"""
        CREATE TABLE IF NOT EXISTS {relation} (
            "source" VARBINARY(255) NOT NULL,
            "kind" VARCHAR(64) NOT NULL,
            "key" VARBINARY(2048) NOT NULL,
            "opened" BIGINT NOT NULL,
            "closed" BIGINT,
            "datasource" LONGBLOB NOT NULL,
            "reason" VARCHAR(255) NOT NULL,
            "detail" LONGTEXT NOT NULL,
            "long_key" LONGBLOB,
            PRIMARY KEY ("source", "key", "opened")
        ) {OWN_TABLE}"""


def renew_gaps_sql(relation: str) -> str:
    """Return the statement that lets an earlier table of gaps hold keys that no index takes."""
    return (
        f'ALTER TABLE {relation} ADD COLUMN "long_key" LONGBLOB,'
        ' MODIFY "datasource" LONGBLOB NOT NULL'
    )


def renamed_table_sql(relation: str) -> str:
    """Return the statement that creates the table of datasources that are in no log."""
    return f"""
        CREATE TABLE IF NOT EXISTS {relation} (
            "source" VARBINARY(255) NOT NULL,
            "datasource" VARBINARY(1024) NOT NULL,
            "original" VARBINARY(1024) NOT NULL,
            "offset" BIGINT NOT NULL,
            "cut" BIGINT NOT NULL,
            "source_time" DATETIME(6) NOT NULL,
            PRIMARY KEY ("source", "datasource")
        ) {OWN_TABLE}"""


def forget_gaps_sql(gaps: str, checkpoints: str) -> str:
    """Return the statement that removes gaps of another log: source, source, the new log."""
    return (
        f'DELETE FROM {gaps} WHERE "source" = ? AND EXISTS (SELECT 1 FROM {checkpoints} AS at_'  # noqa: S608 - quoted names
        ' WHERE at_."source" = ? AND NOT (at_."log_id" <=> ?))'
    )


def record_checkpoint_sql(checkpoints: str) -> str:
    """Return the statement that sets a source's checkpoint; `acquire` has created the row."""
    return (
        f'UPDATE {checkpoints} SET "log_id" = ?, "offset" = ?, "cut" = ?, "source_time" = ?,'  # noqa: S608 - quoted names
        ' "digest" = ?, "paused" = ?, "promoted" = ?, "datasource" = ?, "applied_at" = ?'
        ' WHERE "source" = ?'
    )


def own_size_sql(relation: str, columns: Collection[str]) -> str:
    """Return the query for the size of a source's rows in one of our tables."""
    sizes = (f"COALESCE(LENGTH({quoted(name)}), 0)" for name in sorted(columns))
    size = " + ".join([str(ROW_BYTES), *sizes])
    return (
        f"SELECT CAST(COALESCE(SUM({size}), 0) AS SIGNED) FROM {relation}"  # noqa: S608 - quoted names
        ' WHERE "source" = ?'
    )


def gaps_sql(gaps: str, checkpoints: str, columns: Collection[str]) -> str:
    """Return the query for the gaps of the log that a target follows: the source, the log.

    An earlier table has not all `columns` of this one.
    """
    names = ", ".join(f"gap.{quoted(name)}" if name in columns else "NULL" for name in GAP_COLUMNS)
    return (
        f"SELECT {names} FROM {gaps} AS gap JOIN {checkpoints} AS at_"  # noqa: S608 - quoted names
        ' ON at_."source" = gap."source"'
        ' WHERE gap."source" = ? AND at_."log_id" = ? ORDER BY gap."opened", gap."key"'
    )


def record_gaps_sql(relation: str, count: int) -> str:
    """Return the statement that opens or closes gaps: the source and GAP_COLUMNS of each."""
    names = ("source", *GAP_COLUMNS)
    changes = ", ".join(f"{quoted(one)} = VALUES({quoted(one)})" for one in GAP_COLUMNS)
    row = f"({places(len(names))})"
    return (
        f"INSERT INTO {relation} ({_list(names)}) VALUES {', '.join([row] * count)}"  # noqa: S608 - quoted names
        f" ON DUPLICATE KEY UPDATE {changes}"
    )


def _newest_sql(shape: Shape) -> str:
    """Return the condition that no newer row of the same key is there.

    The comparison by the key's own collation uses its index; the bytes decide.
    """
    ours_key, theirs_key = (key_sql(shape.table, row=row) for row in ("old.", "newer."))
    by = dict.fromkeys([shape.table.newest_by or "id", "id"])
    later: list[str] = []
    same: list[str] = []
    for name in by:
        ours, theirs = (_sortable(shape, name, row) for row in ("old.", "newer."))
        later.append(" AND ".join([*same, f"{theirs} > {ours}"]))
        same.append(f"{theirs} = {ours}")
    return (
        f"NOT EXISTS (SELECT 1 FROM {shape.relation} AS newer WHERE {theirs_key} = {ours_key}"  # noqa: S608 - quoted names
        f" AND {binary_sql(theirs_key)} = {binary_sql(ours_key)}"
        f" AND ({' OR '.join(later)}))"
    )


def _sortable(shape: Shape, name: str, row: str) -> str:
    column = f"{row}{quoted(name)}"
    return column if "int" in shape.types[name] else binary_sql(column)


def _any_sql(value: str, names: Sequence[str]) -> str:
    return f"{value} IN ({', '.join(map(literal, names))})" if names else "FALSE"


def _where(conditions: Iterable[str]) -> str:
    found = " AND ".join(conditions)
    return f" WHERE {found}" if found else ""


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))
