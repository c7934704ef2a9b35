"""The rows of Druid's metadata store that are replicated, and what their tables look like.

Column names are Druid's own, in lower case (PostgreSQL folds `dataSource` to `datasource`).
Payloads and commit metadata are bytes and stay byte for byte what the source holds: Druid
compares the SHA-1 of those bytes when it commits stream offsets, so re-serialising them would
make every later commit fail (IndexerSQLMetadataStorageCoordinator).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple, TypeAlias

from replicator.model.timestamps import time_of

Extras: TypeAlias = Mapping[str, str]
"""Columns this release does not know, in the database's text form; NULLs are left out."""


class Kind(StrEnum):
    """What a row describes; one member for each replicated table.

    A text, because a member of a plain Enum takes Python code to be looked up by.
    """

    SEGMENT = "segment"
    COMMIT = "datasource"
    SUPERVISOR = "supervisor"
    RULES = "rules"
    CONFIG = "config"
    SEGMENT_SCHEMA = "segment_schema"
    INDEXING_STATE = "indexing_state"
    TABLE_DEFINITION = "table_definition"
    AUDIT = "audit"


class RowKey(NamedTuple):
    """Names one row across all replicated tables."""

    kind: Kind
    key: str

    def words(self, datasource: str = "") -> str:
        """Return what the row is, and whose where its key does not say it; `datasource` may be ''.

        A segment's id says all that. A supervisor, load rules and stream offsets can have one key.
        """
        if self.kind is Kind.SEGMENT:
            return self.key
        belongs = f" of {datasource}" if datasource and self.kind in _KEYED_BY_FINGERPRINT else ""
        return f"{_NOUNS[self.kind]} {self.key}{belongs}"


_NOUNS: Mapping[Kind, str] = {
    Kind.COMMIT: "stream offsets of",
    Kind.SUPERVISOR: "supervisor",
    Kind.RULES: "load rules of",
    Kind.CONFIG: "config entry",
    Kind.SEGMENT_SCHEMA: "segment schema",
    Kind.INDEXING_STATE: "indexing state",
    Kind.TABLE_DEFINITION: "catalog table",
    Kind.AUDIT: "audit entry",
}
_KEYED_BY_FINGERPRINT = frozenset({Kind.SEGMENT_SCHEMA, Kind.INDEXING_STATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One row of `druid_segments`, used or unused.

    `used_status_last_updated` is NULL in rows of releases before 28 and absent before 27; the
    four columns after it are absent in older releases or while their feature is off.
    """

    id: str
    datasource: str
    created_date: str
    start: str
    end: str
    partitioned: bool
    version: str
    used: bool
    used_status_last_updated: str | None = None
    upgraded_from_segment_id: str | None = None
    indexing_state_fingerprint: str | None = None
    schema_fingerprint: str | None = None
    num_rows: int | None = None
    payload: bytes
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitMetadata:
    """One row of `druid_dataSource`: the stream offsets of a supervisor's last publish.

    `datasource` holds the supervisor's id since Druid 34, the datasource's name before.
    """

    datasource: str
    created_date: str
    commit_metadata_sha1: str
    commit_metadata_payload: bytes
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervisor:
    """The newest row of `druid_supervisors` for one spec id; the table is append-only."""

    spec_id: str
    id: int
    created_date: str
    payload: bytes
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The newest row of `druid_rules` for one datasource (or `_default`)."""

    datasource: str
    id: str
    version: str
    payload: bytes
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigEntry:
    """One row of `druid_config`; it is updated in place and has no timestamp."""

    name: str
    payload: bytes
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSchema:
    """One row of `druid_segmentSchemas` (centralized datasource schema); `id` is local."""

    fingerprint: str
    created_date: str
    datasource: str
    used: bool
    used_status_last_updated: str
    version: int
    payload: bytes
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexingState:
    """One row of `druid_indexingStates`; segments point to it by its fingerprint."""

    fingerprint: str
    created_date: str
    datasource: str
    used: bool
    pending: bool
    used_status_last_updated: str
    payload: bytes
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TableDefinition:
    """One row of `druid_tableDefs`: what the catalog says of one table (SQLCatalogManager)."""

    schemaname: str
    name: str
    creationtime: int
    """Milliseconds since 1970, as is `updatetime`, which the catalog takes for a version."""
    updatetime: int
    state: str
    """`A`, or `D` while it is being deleted."""
    tabletype: str
    properties: bytes
    columns: bytes
    extras: Extras = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """One row of `druid_audit`: a user's request to a Coordinator or an Overlord."""

    id: int
    audit_key: str
    """Name of a datasource, a task, a supervisor, or of an entry in `druid_config`."""
    type: str
    author: str
    comment: str
    created_date: str
    """Time by the clock of the Druid process that took the request."""
    payload: bytes
    extras: Extras = field(default_factory=dict)

    def is_about(self, datasource: str, since: datetime, until: datetime) -> bool:
        """Return whether its key or its payload names a datasource, and it is of that time."""
        if (requested_at := time_of(self.created_date)) is None:
            return False
        quoted = json.dumps(datasource, ensure_ascii=False)[:-1]
        # a payload within a payload is a text: its quotes are escaped
        names = (f'{quoted}"'.encode(), f'{quoted}\\"'.encode())
        is_named = self.audit_key == datasource or any(name in self.payload for name in names)
        return since <= requested_at <= until and is_named


Row: TypeAlias = (
    Segment
    | CommitMetadata
    | Supervisor
    | Rules
    | ConfigEntry
    | SegmentSchema
    | IndexingState
    | TableDefinition
    | AuditRow
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """How one kind of row is stored.

    `required` columns exist in every Druid release this tool reads (25 and later); `optional` ones
    came later or depend on a setting. `local` columns are numbered by each database for itself and
    are not replicated. `target_owned` columns are written by the target's own rule, so rows are
    compared without them. `numbered` is the column that each database counts up from a sequence.
    `newest_by` is the column whose largest value wins where the table keeps
    every former row as well. A row's key is the text of the `key` columns, joined by a dot: no
    schema of the catalog has one in its name (TableId). `blobs` are columns of bytes beside the
    payload. `absent` is what a NULL in a column of bytes means; without it there is none.
    `source_only` tables are kept in the log where that is configured, and on no target.
    """

    kind: Kind
    name: str
    row_type: type[Row]
    key: tuple[str, ...]
    payload: str
    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()
    target_owned: frozenset[str] = frozenset()
    numbered: str | None = None
    newest_by: str | None = None
    blobs: frozenset[str] = frozenset()
    absent: bytes | None = None
    always_there: bool = True
    source_only: bool = False

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """All known columns in the order of the row's fields, the payload last."""
        return tuple(spec.name for spec in fields(self.row_type) if spec.name != "extras")

    @cached_property
    def in_bytes(self) -> tuple[str, ...]:
        """All columns of bytes, the payload last."""
        return (*sorted(self.blobs), self.payload)

    def key_text(self, values: Mapping[str, object]) -> str:
        """Return the key of a row that is given by its columns."""
        if len(self.key) == 1:
            return str(values[self.key[0]])
        return ".".join([str(values[name]) for name in self.key])


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


DEFAULT_RULES = "_default"
"""Datasource under which Druid keeps the load rules that apply to all, after their own."""
TERMINATED_SUPERVISOR = "NoopSupervisorSpec"
"""Type that Druid writes in the spec of a terminated supervisor; it has no `suspended`."""
TABLES: Mapping[Kind, Table] = {
    table.kind: table
    for table in (
        Table(
            kind=Kind.SEGMENT,
            name="segments",
            row_type=Segment,
            key=("id",),
            payload="payload",
            required=_names(
                "id datasource created_date start end partitioned version used payload"
            ),
            optional=_names(
                "used_status_last_updated upgraded_from_segment_id"
                " indexing_state_fingerprint schema_fingerprint num_rows"
            ),
            target_owned=frozenset({"used_status_last_updated"}),
        ),
        Table(
            kind=Kind.COMMIT,
            name="datasource",
            row_type=CommitMetadata,
            key=("datasource",),
            payload="commit_metadata_payload",
            required=_names("datasource created_date commit_metadata_payload commit_metadata_sha1"),
        ),
        Table(
            kind=Kind.SUPERVISOR,
            name="supervisors",
            row_type=Supervisor,
            key=("spec_id",),
            payload="payload",
            required=_names("id spec_id created_date payload"),
            target_owned=frozenset({"id", "created_date"}),
            numbered="id",
            newest_by="id",
        ),
        Table(
            kind=Kind.RULES,
            name="rules",
            row_type=Rules,
            key=("datasource",),
            payload="payload",
            required=_names("id datasource version payload"),
            target_owned=frozenset({"id", "version"}),
            newest_by="version",
        ),
        Table(
            kind=Kind.CONFIG,
            name="config",
            row_type=ConfigEntry,
            key=("name",),
            payload="payload",
            required=_names("name payload"),
        ),
        Table(
            kind=Kind.SEGMENT_SCHEMA,
            name="segmentschemas",
            row_type=SegmentSchema,
            key=("fingerprint",),
            payload="payload",
            required=_names(
                "created_date datasource fingerprint payload used used_status_last_updated version"
            ),
            local=frozenset({"id"}),
            numbered="id",
            target_owned=frozenset({"used_status_last_updated"}),
            always_there=False,
        ),
        Table(
            kind=Kind.INDEXING_STATE,
            name="indexingstates",
            row_type=IndexingState,
            key=("fingerprint",),
            payload="payload",
            required=_names(
                "created_date datasource fingerprint payload used pending used_status_last_updated"
            ),
            target_owned=frozenset({"used_status_last_updated"}),
            always_there=False,
        ),
        Table(
            kind=Kind.TABLE_DEFINITION,
            name="tabledefs",
            row_type=TableDefinition,
            key=("schemaname", "name"),
            payload="columns",
            required=_names(
                "schemaname name creationtime updatetime state tabletype properties columns"
            ),
            blobs=frozenset({"properties"}),
            absent=b"null",
            always_there=False,
        ),
        Table(
            kind=Kind.AUDIT,
            name="audit",
            row_type=AuditRow,
            key=("id",),
            payload="payload",
            required=_names("id audit_key type author comment created_date payload"),
            source_only=True,
        ),
    )
}

KNOWN_LEFT_OUT = frozenset(
    {
        "pendingsegments",
        "tasklocks",
        "tasklogs",
        "tasks",
        "upgradesegments",
    }
)
"""Tables of Druid that belong to running tasks or tell the past, in lower case without prefix.

They are left out on purpose (docs/compatibility.md). Any other table with Druid's prefix that is
not replicated belongs to an extension, or to a newer Druid: `check` and `status` name it.
"""
_REPLICATED_NAMES = frozenset(table.name for table in TABLES.values())


def is_left_behind(name: str) -> bool:
    """Return whether a table is neither replicated nor known to be left out.

    `name` is without Druid's prefix, in any case: servers and tools spell it differently.
    """
    return name.lower() not in _REPLICATED_NAMES | KNOWN_LEFT_OUT


REPLICATED = frozenset(kind for kind, table in TABLES.items() if not table.source_only)
"""Kinds of rows that targets have."""
KIND_OF: Mapping[type[Row], Kind] = {table.row_type: kind for kind, table in TABLES.items()}


def _key_reader(table: Table) -> Callable[[Row], str]:
    if len(table.key) > 1 or table.source_only:
        return lambda row: ".".join(str(getattr(row, name)) for name in table.key)
    (name,) = table.key
    read: Callable[[Row], str] = attrgetter(name)
    return read


_KEY_OF = {kind: _key_reader(table) for kind, table in TABLES.items()}


def key_of(row: Row) -> RowKey:
    """Return the row's key."""
    kind = KIND_OF[type(row)]
    return RowKey(kind, _KEY_OF[kind](row))


def datasource_of(row: Row) -> str | None:
    """Return the datasource that the row belongs to, None for cluster-wide rows."""
    match row:
        case Segment() | CommitMetadata() | Rules() | SegmentSchema() | IndexingState():
            return row.datasource
        case Supervisor() | ConfigEntry() | TableDefinition() | AuditRow():
            return None
