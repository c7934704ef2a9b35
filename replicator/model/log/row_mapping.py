"""The target's form of a source's row: new location of the bytes, suspended supervisors, no more.

A standby that ran the source's supervisors, compaction or host lists would diverge or do harm, so
control rows are mapped by rule: supervisors are suspended, drop rules are removed, and config
entries are replicated by name only.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import Any, assert_never

from replicator.errors import MalformedRowError
from replicator.model.druid.load_rules import LoadRules
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.druid.payload import (
    member,
    parse,
    segment_size,
    with_changed_member,
    with_member,
)
from replicator.model.fingerprint import (
    NULL,
    UNIT,
    Fingerprint,
    fingerprint,
    fingerprint_of,
    text_columns,
)
from replicator.model.load_spec import Layout, Location, moved
from replicator.model.log.wire import RawRow
from replicator.model.row import (
    KIND_OF,
    TERMINATED_SUPERVISOR,
    AuditRow,
    CommitMetadata,
    ConfigEntry,
    IndexingState,
    Kind,
    Row,
    Rules,
    Segment,
    SegmentSchema,
    Supervisor,
    TableDefinition,
)

_COLUMNS = attrgetter(*text_columns(Kind.SEGMENT))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowMapping:
    """The rule by which one source's rows become one target's rows."""

    source: Layout
    target: Layout
    config_names: frozenset[str]
    """Names of the `druid_config` entries that are replicated; `*`, `?` and `[…]` as in a shell."""
    columns: Mapping[Kind, frozenset[str]]
    """Columns by which rows are compared: those that the target has and does not own itself."""
    load_rules: LoadRules = field(default_factory=LoadRules)
    druid: OlderDruid = field(default_factory=OlderDruid)
    """The release of the target's Druid, and the rows that it can read."""

    def mapped(self, row: Row) -> Row | None:
        """Return the target's form of a row; None: targets do not get the row.

        Raises:
            MalformedRowError: it cannot be mapped; a gap must be recorded.
        """
        match row:
            case Segment():
                return self._segment(row)
            case Supervisor():
                return _suspended(row)
            case ConfigEntry():
                return row if self.replicates(row.name) else None
            case SegmentSchema() | IndexingState() | TableDefinition() | AuditRow():
                return row if KIND_OF[type(row)] in self.columns else None
            case Rules():
                payload = self.druid.rules(self.load_rules.mapped(row.payload))
                return row if payload is row.payload else replace(row, payload=payload)
            case CommitMetadata():
                return row
        assert_never(row)

    def replicates(self, name: str) -> bool:
        """Return whether targets get a `druid_config` entry."""
        return any(fnmatchcase(name, pattern) for pattern in self.config_names)

    @property
    def control_form(self) -> str:
        """The settings by which control rows are mapped."""
        return control_form(self.config_names, self.load_rules)

    def placed(self, segment: Segment, location: Location) -> Location:
        """Return the target's location for bytes at a location of the source.

        Raises:
            MalformedRowError: as for `map`.
        """
        self.druid.segment(segment.payload)
        place = self.target.own_location(location)
        self.druid.load_spec(self.target.load_spec(place))
        return place

    def fingerprint(self, raw: RawRow) -> Fingerprint | None:
        """Return the fingerprint that the target's scan must show for a source's row; None: no row.

        Raises:
            MalformedRowError: as for `map`.
        """
        kind = raw.key.kind
        if kind is Kind.SEGMENT:  # most rows are, and this way no segment need be created
            payload = self._moved(raw.text.payload)
            return fingerprint_of(raw.text, self.columns[kind], payload)
        mapped = self.mapped(raw.row())
        return None if mapped is None else fingerprint(mapped, columns=self.columns[kind])

    def _segment(self, segment: Segment) -> Segment:
        payload = self._moved(segment.payload)
        return segment if payload is segment.payload else replace(segment, payload=payload)

    def _moved(self, payload: bytes) -> bytes:
        return with_changed_member(self.druid.segment(payload), "loadSpec", self._load_spec)

    def _load_spec(self, found: Any) -> Any:
        location = _place(found, self.source)
        if location is None:
            return found
        written = moved(found, location, self.target)
        self.druid.load_spec(written)
        return written


def control_form(config_names: AbstractSet[str], load_rules: LoadRules) -> str:
    """Return the settings by which control rows are mapped, as a text that tells a change.

    A release of Druid is not among them: its Coordinator is asked, and may be away.
    """
    tiers = [f"{tier} as {name}" for tier, name in sorted(load_rules.tiers.items())]
    drops = "with" if load_rules.with_drops else "without"
    names = ", ".join(sorted(config_names))
    return f"entries {names}; rules {drops} drops; tiers {', '.join(tiers) or 'unchanged'}"


def locate(segment: Segment, layout: Layout) -> Location | None:
    """Return the location of a segment's bytes; None for a tombstone.

    Raises:
        MalformedRowError: there is no load spec, or this storage cannot read it.
    """
    return located(segment.payload, layout)


def located(payload: bytes, layout: Layout) -> Location | None:
    """Return the location for a segment's payload, as `locate` does."""
    return _place(member(payload, "loadSpec"), layout)


def check_segment(segment: Segment) -> int:
    """Refuse a row whose columns contradict its payload; return the payload's `size`.

    The size is the number of unpacked bytes (CompressionUtils.zip returns it), 0 if the payload has
    none, or one that no segment can have.

    Raises:
        MalformedRowError: the payload is not JSON, or id, datasource, interval or version differ.
    """
    texts = "".join([value for value in _COLUMNS(segment) if isinstance(value, str)])
    if UNIT in texts or NULL in texts:
        raise MalformedRowError("a column holds a control character (0x1e or 0x1f)")
    payload = parse(segment.payload)
    columns: dict[str, Any] = {
        "dataSource": segment.datasource,
        "interval": f"{segment.start}/{segment.end}",
        "version": segment.version,
    }
    if "identifier" in payload:
        columns["identifier"] = segment.id
    for name, column in columns.items():
        if payload.get(name) != column:
            raise MalformedRowError(
                f"its payload says {name} {payload.get(name)!r}, its columns say {column!r}"
            )
    if not _instant(segment.start) < _instant(segment.end):
        raise MalformedRowError(f"its interval {segment.start}/{segment.end} is empty")
    return segment_size(payload.get("size"))


def supervised_datasource(supervisor: Supervisor) -> str | None:
    """Return the datasource that a supervisor ingests into; None: its spec names none."""
    spec = parse(supervisor.payload).get("spec")
    schema = spec.get("dataSchema") if isinstance(spec, dict) else None
    name = schema.get("dataSource") if isinstance(schema, dict) else None
    return name if isinstance(name, str) else None


def _place(load_spec: Any, layout: Layout) -> Location | None:
    if not isinstance(load_spec, dict):
        raise MalformedRowError("its payload has no load spec")
    return layout.locate(load_spec)


def _suspended(supervisor: Supervisor) -> Supervisor:
    if member(supervisor.payload, "type") == TERMINATED_SUPERVISOR:
        return supervisor
    return replace(supervisor, payload=with_member(supervisor.payload, "suspended", True))  # noqa: FBT003 - a JSON value


def _instant(text: str) -> tuple[int, str]:
    """Return the sort key of instants: a half-open interval of Druid ends in the year 146140482."""
    year, _, rest = text[1:].partition("-")
    try:
        return int(text[:1] + year), rest
    except ValueError:
        raise MalformedRowError(f"its interval has the instant {text!r}") from None
