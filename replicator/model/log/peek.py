"""Fields of a record, found by its text, for a sixth of the cost of decoding it.

Used for summaries, estimates and margins; restores and comparisons never rely on it.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import orjson

from replicator.errors import CorruptionError
from replicator.model.druid.interval import ETERNITY, Interval, interval, interval_or_eternity
from replicator.model.druid.payload import segment_size
from replicator.model.event import CutNumber, Epoch, Record
from replicator.model.log.backlog import SegmentUpdate
from replicator.model.log.wire import CHANGED_TYPE, REMOVED_TYPE, UNREADABLE_HINT, RawRow
from replicator.model.row import Kind, RowKey

_CHANGED = {name: kind for kind, name in CHANGED_TYPE.items()}
_REMOVED = {name: kind for kind, name in REMOVED_TYPE.items()}

# In a record a payload is a JSON text within a JSON text, so its quotes are escaped.
_DATASOURCE = re.compile(rb'"datasource":("[^"\\]*(?:\\.[^"\\]*)*")')
_SIZE_NAME = rb"\"size\""
_SIZE = re.compile(re.escape(_SIZE_NAME) + rb"\s*:\s*(\d{1,16})(?!\d)")
_TOMBSTONE = re.compile(rb'\\"type\\"\s*:\s*\\"tombstone\\"')
_PAYLOADS_SIZE_NAME = b'"size"'
_PAYLOADS_SIZE = re.compile(_PAYLOADS_SIZE_NAME + rb"\s*:\s*(\d{1,16})(?!\d)")
_PAYLOADS_TOMBSTONE = re.compile(rb'"type"\s*:\s*"tombstone"')
_SUBJECT = re.compile(rb'"subject":("[^"\\]*(?:\\.[^"\\]*)*")')
_USED = re.compile(rb'"used":(true|false)')
_ENDS = re.compile(rb'"start":("[^"\\]*"),"end":("[^"\\]*")')
_ROW = b'"row":{'
_USED_SINCE = re.compile(rb'"used_status_last_updated":("[^"\\]*")')
_NEW = b'"previous":null'


class EventSummary(NamedTuple):
    """The fields of a changed row that a summary needs."""

    kind: Kind
    datasource: str | None
    size_bytes: int | None
    """Unpacked size of a segment's bytes, as in `segment_size`; None if it has none."""
    used: bool = False
    """Whether it is a segment that queries see."""
    interval: Interval = ETERNITY
    """A segment's interval; all of time if its row does not say it."""


def summary_of(record: Record) -> EventSummary:
    """Return the summary of a changed row, for a sixth of the cost of `decode`.

    All fields are found by text, so they are only an estimate.

    Raises:
        CorruptionError: the datasource's text is not JSON.
    """
    kind, data = _CHANGED[record.type], record.data
    at = max(0, data.find(_ROW))  # what is before it is the same in all events
    named = _DATASOURCE.search(data, at)
    datasource = _value(named[1], record) if named else None
    if kind is not Kind.SEGMENT:
        return EventSummary(kind, datasource, None)
    size_bytes = None
    if not (b"tombstone" in data and _TOMBSTONE.search(data)):
        size = _SIZE.match(data, max(0, data.rfind(_SIZE_NAME)))
        size_bytes = segment_size(int(size[1])) if size else None
    ends, used = _ENDS.search(data, at), _USED.search(data, at)
    return EventSummary(
        kind,
        datasource,
        size_bytes,
        used is not None and used[1] == b"true",
        ETERNITY if ends is None else _interval(ends[1], ends[2]),
    )


def summary_of_row(raw: RawRow) -> EventSummary:
    """Return the summary of a row that is decoded already, as `summary_of` its record."""
    kind, columns, payload = raw.key.kind, raw.columns, raw.text.payload
    if kind is not Kind.SEGMENT:
        return EventSummary(kind, columns.get("datasource"), None)
    size_bytes = None
    if not (b"tombstone" in payload and _PAYLOADS_TOMBSTONE.search(payload)):
        size = _PAYLOADS_SIZE.match(payload, max(0, payload.rfind(_PAYLOADS_SIZE_NAME)))
        size_bytes = segment_size(int(size[1])) if size else None
    return EventSummary(
        kind,
        columns["datasource"],
        size_bytes,
        columns["used"],
        interval_or_eternity(columns["start"], columns["end"]),
    )


@lru_cache(maxsize=4096)  # segments share their intervals
def _interval(start: bytes, end: bytes) -> Interval:
    """Return the interval between two texts of JSON; all of time if they are no instants."""
    try:
        return interval(orjson.loads(start), orjson.loads(end))
    except ValueError:
        return ETERNITY


def changed_datasource(record: Record) -> str | None:
    """Return the datasource of a changed row; None: it has none, or the record is another event."""
    return summary_of(record).datasource if record.type in _CHANGED else None


def segment_update(record: Record) -> SegmentUpdate | None:
    """Return a record's update of a segment with bytes; None: it is another event.

    Fields are found by text, as in `summary_of`.

    Raises:
        CorruptionError: the record does not fit its type.
    """
    if _REMOVED.get(record.type) is Kind.SEGMENT:
        return SegmentUpdate(
            id=_value(_text(_SUBJECT, record), record),
            datasource="",
            is_new=False,
            used=False,
            used_status_last_updated=None,
            size_bytes=None,
        )
    if _CHANGED.get(record.type) is not Kind.SEGMENT:
        return None
    seen, since = summary_of(record), _USED_SINCE.search(record.data)
    if seen.size_bytes is None and _TOMBSTONE.search(record.data):
        return None
    return SegmentUpdate(
        id=_value(_text(_SUBJECT, record), record),
        datasource=seen.datasource or "",
        is_new=_NEW in record.data,
        used=_text(_USED, record) == b"true",
        used_status_last_updated=_value(since[1], record) if since else None,
        size_bytes=seen.size_bytes or 0,
    )


def _text(pattern: re.Pattern[bytes], record: Record) -> bytes:
    if (found := pattern.search(record.data)) is None:
        raise _unreadable(record)
    return found[1]


def _value(text: bytes, record: Record) -> str:
    """Return the value of a JSON text that was found in a record."""
    try:
        return _plain_value(text)
    except ValueError as exc:
        raise _unreadable(record) from exc


@lru_cache(maxsize=1024)  # most events name one of a few datasources
def _plain_value(text: bytes) -> str:
    return str(orjson.loads(text))


def _unreadable(record: Record) -> CorruptionError:
    return CorruptionError(
        f"the event at offset {record.offset} of the log cannot be read", hint=UNREADABLE_HINT
    )


# Unescaped quotes are the document's own: those of payloads are within a JSON text.
_ATTEMPT = re.compile(rb'"cut":(\d{1,19}),"epoch":(\d{1,19}),"data":')
_INSTANT = r"-?\d{4,}-\d\d-\d\dT[\d:.]+Z"
_PLACE = re.compile(rf"_(?=({_INSTANT})_({_INSTANT})_(.+))", re.DOTALL | re.ASCII)
"""Looks ahead, so that places that overlap are all found."""
ID_CHARS_MAX = 4096
"""Longest id that is looked into. Druid's column holds 255 characters; a place may begin at each
underscore, so what a longer one costs grows by the square."""
_VERSION = re.compile(rf"{_INSTANT}(_\d+)?", re.ASCII)
"""A version in Druid's notation, followed by a partition number."""


class EventSubject(NamedTuple):
    """Fields found in the text of an event."""

    kind: Kind
    key: str
    is_removal: bool
    datasource: str | None
    """Datasource of a segment; None if a removed segment's id does not reveal it."""
    used: bool | None
    """Whether a changed segment is used; None for other events."""
    epoch: Epoch
    cut: CutNumber

    def is_of(self, datasource: str) -> bool:
        """Return whether a segment is, or could be, one of this datasource."""
        if self.datasource is not None:
            return self.datasource == datasource
        return self.key.startswith(f"{datasource}_")

    @property
    def row_key(self) -> RowKey:
        """Kind and key of the row."""
        return RowKey(self.kind, self.key)

    @property
    def interval(self) -> Interval:
        """The segment's interval; all of time if its id does not reveal it."""
        found = segment_name(self.key)
        return ETERNITY if found is None else found.interval


class SegmentName(NamedTuple):
    """The parts of a segment's id, known even if the row is gone."""

    datasource: str
    interval: Interval


def subject_of(record: Record) -> EventSubject | None:
    """Return the subject of a record; None: it closes a cut, or another program wrote it.

    Raises:
        CorruptionError: a text that was found is not JSON.
    """
    kind = kind_of(record)
    subject, attempt = _SUBJECT.search(record.data), _ATTEMPT.search(record.data)
    if kind is None or subject is None or attempt is None:
        return None
    is_removal = record.type in _REMOVED
    key = _value(subject[1], record)
    is_segment = kind is Kind.SEGMENT and not is_removal
    used = _USED.search(record.data) if is_segment else None
    return EventSubject(
        kind=kind,
        key=key,
        datasource=_datasource(record, key) if kind is Kind.SEGMENT else None,
        is_removal=is_removal,
        used=None if used is None else used[1] == b"true",
        epoch=Epoch(int(attempt[2])),
        cut=CutNumber(int(attempt[1])),
    )


def segment_name(id_: str) -> SegmentName | None:
    """Return the parts of a segment's id; None: it is not like Druid's.

    An id is `<datasource>_<start>_<end>_<version>[_<partition>]` (Druid's SegmentId). A datasource
    may itself end like an id, and a version is an instant like the others, so the rightmost
    position counts after which only a version follows.
    """
    if len(id_) > ID_CHARS_MAX:
        return None
    matches = [
        (SegmentName(id_[: found.start()], ends), found[3])
        for found in _PLACE.finditer(id_)
        if (ends := _ends(found[1], found[2])) is not None
    ]
    if not matches:
        return None
    exact = [name for name, rest in matches if _VERSION.fullmatch(rest)]
    return exact[-1] if exact else matches[-1][0]


def _ends(start: str, end: str) -> Interval | None:
    try:
        return interval(start, end)
    except ValueError:
        return None


def _datasource(record: Record, key: str) -> str | None:
    """Return a segment's datasource: from its row or, if that is gone, from its id."""
    if (named := _DATASOURCE.search(record.data)) is not None:
        return _value(named[1], record)
    name = segment_name(key)
    return None if name is None else name.datasource


def kind_of(record: Record) -> Kind | None:
    """Return the kind of a record's row; None: it closes a cut."""
    return _CHANGED.get(record.type) or _REMOVED.get(record.type)
