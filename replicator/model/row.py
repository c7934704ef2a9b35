"""The rows of Druid's metadata store that are replicated, and what their tables look like.

Column names are Druid's own, in lower case (PostgreSQL folds `dataSource` to `datasource`).
Payloads and commit metadata are bytes and stay byte for byte what the source holds: Druid
compares the SHA-1 of those bytes when it commits stream offsets, so re-serialising them would
make every later commit fail (IndexerSQLMetadataStorageCoordinator).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import NamedTuple, TypeAlias

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


class RowKey(NamedTuple):
    """Names one row across all replicated tables."""

    kind: Kind
    key: str


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


Row: TypeAlias = (
    Segment | CommitMetadata | Supervisor | Rules | ConfigEntry | SegmentSchema | IndexingState
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How one kind of row is stored.

    `required` columns exist in every Druid release this tool reads (25 and later); `optional` ones
    came later or depend on a setting. `local` columns are numbered by each database for itself and
    are not replicated. `target_owned` columns are written by the target's own rule, so rows are
    compared without them. `numbered` is the column that each database counts up from a sequence.
    `newest_by` is the column whose largest value wins where the table keeps
    every former row as well.
    """

    kind: Kind
    name: str
    row_type: type[Row]
    key: str
    payload: str
    required: frozenset[str]
    optional: frozenset[str] = frozenset()
    local: frozenset[str] = frozenset()
    target_owned: frozenset[str] = frozenset()
    numbered: str | None = None
    newest_by: str | None = None
    always_there: bool = True

    @property
    def columns(self) -> tuple[str, ...]:
        """All known columns in the order of the row's fields, the payload last."""
        return tuple(spec.name for spec in fields(self.row_type) if spec.name != "extras")


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
            key="id",
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
            key="datasource",
            payload="commit_metadata_payload",
            required=_names("datasource created_date commit_metadata_payload commit_metadata_sha1"),
        ),
        Table(
            kind=Kind.SUPERVISOR,
            name="supervisors",
            row_type=Supervisor,
            key="spec_id",
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
            key="datasource",
            payload="payload",
            required=_names("id datasource version payload"),
            target_owned=frozenset({"id", "version"}),
            newest_by="version",
        ),
        Table(
            kind=Kind.CONFIG,
            name="config",
            row_type=ConfigEntry,
            key="name",
            payload="payload",
            required=_names("name payload"),
        ),
        Table(
            kind=Kind.SEGMENT_SCHEMA,
            name="segmentschemas",
            row_type=SegmentSchema,
            key="fingerprint",
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
            key="fingerprint",
            payload="payload",
            required=_names(
                "created_date datasource fingerprint payload used pending used_status_last_updated"
            ),
            target_owned=frozenset({"used_status_last_updated"}),
            always_there=False,
        ),
    )
}

KNOWN_LEFT_OUT = frozenset(
    {
        "audit",
        "pendingsegments",
        "tasklocks",
        "tasklogs",
        "tasks",
        "upgradesegments",
    }
)
"""Tables of Druid that belong to running tasks or tell the past, in lower case without prefix.

They are left out on purpose (docs/compatibility.md). Any other table with Druid's prefix that is
not replicated is somebody's extension, or a newer Druid's: `check` and `status` name it.
"""
_REPLICATED_NAMES = frozenset(table.name for table in TABLES.values())
KIND_OF: Mapping[type[Row], Kind] = {table.row_type: kind for kind, table in TABLES.items()}


def is_left_behind(name: str) -> bool:
    """Return whether a table is neither replicated nor known to be left out.

    `name` is without Druid's prefix, in any case: servers and tools spell it differently.
    """
    return name.lower() not in _REPLICATED_NAMES | KNOWN_LEFT_OUT


def key_of(row: Row) -> RowKey:
    """Return the row's key."""
    table = TABLES[KIND_OF[type(row)]]
    return RowKey(table.kind, getattr(row, table.key))


def datasource_of(row: Row) -> str | None:
    """Return the datasource that the row belongs to, None for cluster-wide rows."""
    match row:
        case Segment() | CommitMetadata() | Rules() | SegmentSchema() | IndexingState():
            return row.datasource
        case Supervisor() | ConfigEntry():
            return None
