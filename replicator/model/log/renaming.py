"""A datasource's earlier state under another name, beside the live datasource."""

from dataclasses import dataclass, replace
from datetime import datetime

from replicator.errors import MalformedRowError
from replicator.model.druid.payload import with_changed_member, with_member
from replicator.model.event import CutNumber, Offset
from replicator.model.log.wire import RawRow
from replicator.model.row import Kind, Row, Rules, Segment


@dataclass(frozen=True, slots=True, kw_only=True)
class Renamed:
    """A target's rows that are in no log: a datasource at one cut, under another name."""

    datasource: str
    """Name of the datasource on the target."""
    original: str
    """Name of the datasource at the source."""
    offset: Offset
    cut: CutNumber
    source_time: datetime
    """Time at which the source was at the restored cut."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRows:
    """A `Rule`: the rows that serve a datasource, its used segments and load rules."""

    datasource: str

    def mark(self, raw: RawRow, _: Offset) -> bytes | None:
        """Return the source's fingerprint of such a row."""
        if raw.columns.get("datasource") != self.datasource:
            return None
        kind = raw.key.kind
        serves = kind is Kind.RULES or (kind is Kind.SEGMENT and bool(raw.columns["used"]))
        return raw.fingerprint if serves else None


def is_datasource(name: str) -> bool:
    """Return whether Druid accepts a name for a datasource (IdUtils.validateId, Druid 33)."""
    return bool(name) and name.isprintable() and "/" not in name and name[0] != "."


def renamed(row: Row, to: str) -> Row:
    """Return a segment's row, or load rules, for another datasource with the same bytes.

    The id is the one that Druid gives (SegmentId: `<datasource>_<start>_<end>_<version>[_<n>]`).
    Other tables' rows about the old name are not renamed: Druid discovers schemas by itself.

    Raises:
        MalformedRowError: the id does not begin with the datasource, or the payload is no JSON.
    """
    match row:
        case Rules():
            return replace(row, datasource=to, id=f"{to}_{row.version}")
        case Segment():
            return _segment(row, to)
        case _:
            raise MalformedRowError(f"a row of {type(row).__name__} has no other name")


def _segment(row: Segment, to: str) -> Segment:
    id_ = _moved(row.id, row.datasource, to)
    if id_ is None:
        raise MalformedRowError(f"its id does not begin with {row.datasource}_")
    payload = with_member(row.payload, "dataSource", to)
    return replace(
        row,
        id=id_,
        datasource=to,
        payload=with_changed_member(
            payload, "identifier", lambda found: None if found is None else id_
        ),
        upgraded_from_segment_id=_moved(row.upgraded_from_segment_id or "", row.datasource, to),
        indexing_state_fingerprint=None,
        schema_fingerprint=None,
        num_rows=None,
    )


def _moved(id_: str, datasource: str, to: str) -> str | None:
    rest = id_.removeprefix(f"{datasource}_")
    return None if rest == id_ else f"{to}_{rest}"
