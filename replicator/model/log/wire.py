"""Events as documents: CloudEvents 1.0 in JSON, one schema per type and version (`schemas/`).

A payload in UTF-8 is written as a JSON string, any other one in base64, so the bytes come back
exactly. Ids are derived from the content: the same fact in the same cut has the same id in every
process that publishes it.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, assert_never, get_args, get_type_hints

import orjson

from replicator.errors import ConfigError, CorruptionError
from replicator.model.document import INT_MAX, refuse_many_values, time_text
from replicator.model.event import (
    CutClosed,
    CutNumber,
    Document,
    Entry,
    Envelope,
    Epoch,
    Event,
    Offset,
    Record,
    RowChanged,
    RowRemoved,
)
from replicator.model.fingerprint import (
    FINGERPRINT_BYTES,
    Digest,
    Fingerprint,
    RowText,
    hex_digest,
    row_text,
)
from replicator.model.row import KIND_OF, TABLES, Kind, Row, RowKey, Table, key_of
from replicator.model.timestamps import FIRST_YEAR, LAST_YEAR

if TYPE_CHECKING:
    from replicator.model.stream import StreamPosition

# Few sources have a change stream, whose positions are imported where one is met.

SPEC_VERSION = "1.0"
SCHEMA_BASE = "https://druid-replicator.dev/schemas/"
VERSION = 1
CUT_CLOSED = "cut.closed"
UNREADABLE_HINT = "it was not written by this tool, or it was altered; restore the log from a copy"

_CHANGED_VERB = {Kind.SEGMENT: "published", Kind.COMMIT: "committed", Kind.AUDIT: "recorded"}
CHANGED_TYPE: Mapping[Kind, str] = {
    kind: f"{kind.value}.{_CHANGED_VERB.get(kind, 'changed')}" for kind in Kind
}
REMOVED_TYPE: Mapping[Kind, str] = {kind: f"{kind.value}.removed" for kind in Kind}
_KIND_CHANGED = {name: kind for kind, name in CHANGED_TYPE.items()}
_KIND_REMOVED = {name: kind for kind, name in REMOVED_TYPE.items()}
EVENT_TYPES = (*CHANGED_TYPE.values(), *REMOVED_TYPE.values(), CUT_CLOSED)


class RawRow(NamedTuple):
    """A `RowChanged` whose row is still a mapping of its columns, the payload as bytes."""

    key: RowKey
    columns: Mapping[str, Any]
    text: RowText
    """The same columns as fingerprints read them."""
    fingerprint: Fingerprint
    previous: Fingerprint | None

    def row(self) -> Row:
        """Return the row itself."""
        return TABLES[self.key.kind].row_type(**self.columns)

    def event(self) -> RowChanged:
        """Return the event itself."""
        return RowChanged(row=self.row(), fingerprint=self.fingerprint, previous=self.previous)


class Parsed(NamedTuple):
    """One event at its offset, not yet converted to values of the model."""

    offset: Offset
    envelope: Envelope
    fact: RawRow | RowRemoved | CutClosed


def schema_name(event_type: str) -> str:
    """Return the file name of the schema for an event type, as in `schemas/`."""
    return f"{event_type}.v{VERSION}.json"


_SCHEMAS = {name: SCHEMA_BASE + schema_name(name) for name in EVENT_TYPES}


def event_type(event: Event) -> str:
    """Return the event's type in documents."""
    match event:
        case RowChanged(row=row):
            return CHANGED_TYPE[key_of(row).kind]
        case RowRemoved(key=key):
            return REMOVED_TYPE[key.kind]
        case CutClosed():
            return CUT_CLOSED
    assert_never(event)


def document_of(record: Record) -> Document:
    """Return the document in a record.

    Raises:
        CorruptionError: it is not a CloudEvent.
    """
    try:
        subject = str(_document(record)["subject"])
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise CorruptionError(f"the record at offset {record.offset} is no event: {exc}") from None
    return Document(type=record.type, subject=subject, data=record.data)


def encode(event: Event, envelope: Envelope) -> Document:
    """Return the event as a CloudEvents document; the same input gives the same bytes.

    Raises:
        ConfigError: a row's table is none as Druid makes it, or the source says a time that is
            none, so that no reader could read the event; a log keeps what is in it for ever.
    """
    data: dict[str, Any]
    mark: bytes
    _refuse_unreadable_time(envelope.time)
    match event:
        case RowChanged(row=row, fingerprint=fingerprint, previous=previous):
            key = key_of(row)
            _refuse_unreadable(row, key)
            type_, subject, mark = CHANGED_TYPE[key.kind], key.key, fingerprint
            data = {
                "row": _row_to_json(row),
                "fingerprint": fingerprint.hex(),
                "previous": previous.hex() if previous else None,
            }
        case RowRemoved(key=key, previous=previous):
            type_, subject, mark = REMOVED_TYPE[key.kind], key.key, previous
            data = {"previous": previous.hex()}
        case CutClosed():
            type_, subject, mark = CUT_CLOSED, str(event.cut), b""
            _refuse_unreadable_time(event.source_time)
            data = {
                "count": event.count,
                "digest": hex_digest(event.digest),
                "source_time": time_text(event.source_time),
            }
            if event.distrusts_versions:
                data["distrusts_row_versions"] = True
            if event.stream is not None:
                from replicator.model.stream import position_json  # noqa: PLC0415 - see above

                data["change_stream"] = position_json(event.stream)
                _refuse_unreadable_position(data)
        case _:
            assert_never(event)
    document = {
        "specversion": SPEC_VERSION,
        "id": _event_id(envelope, type_, subject, mark),
        "source": envelope.source,
        "type": type_,
        "subject": subject,
        "time": time_text(envelope.time),
        "dataschema": f"{SCHEMA_BASE}{schema_name(type_)}",
        "datacontenttype": "application/json",
        "cut": envelope.cut,
        "epoch": envelope.epoch,
        "data": data,
    }
    return Document(type=type_, subject=subject, data=orjson.dumps(document))


def decode(record: Record) -> Entry:
    """Return the event in a record.

    Raises:
        CorruptionError: it is not JSON, not of a known type and version, or a field is missing or
            of the wrong type; the message names the offset and the field.
    """
    offset, envelope, fact = parse(record)
    event = fact.event() if isinstance(fact, RawRow) else fact
    return Entry(offset=offset, envelope=envelope, event=event)


def entry_of(record: Record, source: str) -> Entry:
    """Return the event in a record.

    Raises:
        CorruptionError: it cannot be decoded.
        ConfigError: it belongs to another source.
    """
    entry = decode(record)
    require_source(entry.offset, entry.envelope, source)
    return entry


def require_source(offset: Offset, envelope: Envelope, source: str) -> None:
    """Refuse an event of another source.

    Raises:
        ConfigError: the event names another source than the configuration.
    """
    if envelope.source != source:
        raise ConfigError(
            f"the log holds events of source {envelope.source!r} at offset"
            f" {offset}, the configuration says {source!r}",
            hint="point `log` at the log of this source, or correct `source.name`",
        )


def parse(record: Record) -> Parsed:
    """Return the event as `decode` checks it, at half the cost: rows stay columns.

    Raises:
        CorruptionError: as for `decode`.
    """
    try:
        return _parse(record)
    except (KeyError, TypeError, ValueError, RecursionError) as exc:
        raise CorruptionError(
            f"the event at offset {record.offset} of the log cannot be read: {_reason(exc)}",
            hint=UNREADABLE_HINT,
        ) from exc


def segment_payload(record: Record) -> bytes | None:
    """Return the payload of a segment's row; None: the record is another event.

    The row's other columns are not examined.

    Raises:
        CorruptionError: the record does not fit its type.
    """
    if _KIND_CHANGED.get(record.type) is not Kind.SEGMENT:
        return None
    try:
        row = _document(record)["data"]["row"]
        if (text := row.get("payload_base64")) is not None:
            return _bytes(text, "payload_base64")
        payload: bytes = _typed(row, "payload", str).encode()
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise CorruptionError(
            f"the event at offset {record.offset} of the log cannot be read: {_reason(exc)}"
        ) from exc
    return payload


def _document(record: Record) -> Any:
    """Return the JSON of a record; payloads are texts in it, whose values do not count."""
    refuse_many_values(record.data)
    return orjson.loads(record.data)


def _parse(record: Record) -> Parsed:
    document = _document(record)
    if not isinstance(document, dict):
        raise TypeError("it is not a JSON object")
    if document["specversion"] != SPEC_VERSION:
        raise ValueError(f"specversion {document['specversion']!r} is not {SPEC_VERSION}")
    type_ = _typed(document, "type", str)
    if document["dataschema"] != _SCHEMAS.get(type_, ...):
        raise ValueError(
            f"type {type_!r} with dataschema {document.get('dataschema')!r} is unknown here"
        )
    envelope = _envelope(document["source"], document["cut"], document["epoch"], document["time"])
    data = _typed(document, "data", dict)
    fact = _fact(type_, _typed(document, "subject", str), data, envelope)
    return Parsed(record.offset, envelope, fact)


@lru_cache(maxsize=64, typed=True)
def _envelope(source: object, cut: object, epoch: object, time: object) -> Envelope:
    """Return the envelope shared by all events of one poll."""
    found = {"source": source, "cut": cut, "epoch": epoch, "time": time}
    return Envelope(
        source=_typed(found, "source", str),
        cut=CutNumber(_number(found, "cut")),
        epoch=Epoch(_number(found, "epoch")),
        time=_time(found, "time"),
    )


def _fact(
    type_: str, subject: str, data: Mapping[str, Any], envelope: Envelope
) -> RawRow | RowRemoved | CutClosed:
    if (kind := _KIND_CHANGED.get(type_)) is not None:
        table = TABLES[kind]
        columns = _columns_from_json(table, _typed(data, "row", dict))
        if (key := table.key_text(columns)) != subject:
            raise ValueError(f"subject {subject!r} does not name the row {key!r}")
        return RawRow(
            RowKey(kind, subject),
            columns,
            row_text(kind, columns),
            _fingerprint(data, "fingerprint"),
            None if data["previous"] is None else _fingerprint(data, "previous"),
        )
    if (kind := _KIND_REMOVED.get(type_)) is not None:
        return RowRemoved(key=RowKey(kind, subject), previous=_fingerprint(data, "previous"))
    if subject != str(envelope.cut):
        raise ValueError(f"subject {subject!r} does not name the cut {envelope.cut}")
    return CutClosed(
        cut=envelope.cut,
        source_time=_time(data, "source_time"),
        count=_number(data, "count"),
        digest=Digest(int.from_bytes(_fingerprint(data, "digest"))),
        epoch=envelope.epoch,
        distrusts_versions="distrusts_row_versions" in data,
        stream=_position(data),
    )


def _position(data: Mapping[str, Any]) -> "StreamPosition | None":
    if "change_stream" not in data:
        return None
    from replicator.model.stream import position_of  # noqa: PLC0415 - see above

    return position_of(_typed(data, "change_stream", dict))


def _refuse_unreadable_time(time: datetime) -> None:
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ConfigError(
            f"the source says that it is {time_text(time)}, which is not between the years"
            f" {FIRST_YEAR} and {LAST_YEAR}; nothing was published under that time",
            hint="set the clock of the source's database server",
        )


def _refuse_unreadable_position(data: Mapping[str, Any]) -> None:
    try:
        _position(data)
    except (KeyError, TypeError, ValueError) as exc:
        raise ConfigError(
            f"the source says a position in its change stream that is none: {exc}; its cut was not"
            " published",
            hint="see what answers at the address of the source's database",
        ) from exc


def _refuse_unreadable(row: Row, key: RowKey) -> None:
    table = TABLES[key.kind]
    found = {name: getattr(row, name) for name in table.columns}
    try:
        _check_columns(key.kind, tuple(found), tuple(map(type, found.values())))
        _check_values(key.kind, found, row.extras)
    except (TypeError, ValueError) as exc:
        raise ConfigError(
            f"{key.kind.value} {key.key!r} of the source is no row as Druid writes it: {exc}; it"
            " was not published",
            hint="compare the types of the table's columns, and which of them may be NULL, with"
            " those that Druid makes",
        ) from exc


def _row_to_json(row: Row) -> dict[str, Any]:
    table = TABLES[KIND_OF[type(row)]]
    found = {name: getattr(row, name) for name in table.columns}
    for name in table.in_bytes:
        payload = found.pop(name)
        try:
            found[name] = payload.decode()
        except UnicodeDecodeError:
            found[f"{name}_base64"] = b64encode(payload).decode()
    if row.extras:
        found["extras"] = dict(sorted(row.extras.items()))
    return found


def _columns_from_json(table: Table, found: dict[str, Any]) -> Mapping[str, Any]:
    for name, in_base64 in _IN_BYTES[table.kind]:
        if (text := found.pop(in_base64, None)) is not None:
            found[name] = _bytes(text, in_base64)
        else:
            found[name] = _typed(found, name, str).encode()
    _check_columns(table.kind, tuple(found), tuple(map(type, found.values())))
    _check_values(table.kind, found, found.get("extras"))
    return found


def _check_values(kind: Kind, found: Mapping[str, Any], extras: Mapping[str, Any] | None) -> None:
    """Refuse numbers and extras that are of their types and none of ours."""
    for name in _NUMBERS[kind]:
        if (number := found.get(name)) is not None and not -INT_MAX - 1 <= number <= INT_MAX:
            raise ValueError(f"field {name!r} has more than 64 bits")
    if extras and not all(isinstance(value, str) for value in extras.values()):
        raise TypeError("field 'extras' has a value that is not a text")


@lru_cache(maxsize=256)
def _check_columns(kind: Kind, names: tuple[str, ...], types: tuple[type[Any], ...]) -> None:
    """Refuse fields unless all are known, present and of their types; most rows are alike."""
    known = _COLUMN_TYPES[kind]
    for name, found in zip(names, types, strict=True):
        if name not in known:
            raise ValueError(f"field {name!r} is unknown to this release")
        if found not in known[name]:
            raise TypeError(f"field {name!r} has the wrong type")
    if missing := _REQUIRED[kind] - set(names):
        raise KeyError(min(missing))


def _column_types(table: Table) -> Mapping[str, frozenset[type[Any]]]:
    """Return the possible types of a row's fields, with the payload as bytes again."""
    hints = get_type_hints(table.row_type)
    known = {name: frozenset(get_args(hints[name]) or (hints[name],)) for name in table.columns}
    return {**known, "extras": frozenset({dict})}


_COLUMN_TYPES = {kind: _column_types(table) for kind, table in TABLES.items()}
_NUMBERS = {
    kind: tuple(name for name, types in known.items() if int in types)
    for kind, known in _COLUMN_TYPES.items()
}
_IN_BYTES = {
    kind: tuple((name, f"{name}_base64") for name in table.in_bytes)
    for kind, table in TABLES.items()
}
_REQUIRED = {kind: table.required - table.local for kind, table in TABLES.items()}


def _typed(found: Mapping[str, Any], name: str, kind: type[Any]) -> Any:
    value = found[name]
    # What was parsed is of no subclass, and a bool is no number.
    if value.__class__ is not kind:
        raise TypeError(f"field {name!r} is not a {kind.__name__}")
    return value


def _number(found: Mapping[str, Any], name: str) -> int:
    number: int = _typed(found, name, int)
    if not 0 <= number <= INT_MAX:
        raise ValueError(f"field {name!r} is not between 0 and {INT_MAX}")
    return number


def _fingerprint(found: Mapping[str, Any], name: str) -> Fingerprint:
    text = _typed(found, name, str)
    try:
        value = bytes.fromhex(text)
    except ValueError:
        value = b""
    if len(value) != FINGERPRINT_BYTES or len(text) != 2 * FINGERPRINT_BYTES:
        raise ValueError(f"field {name!r} does not have 64 hexadecimal digits")
    return Fingerprint(value)


def _time(found: Mapping[str, Any], name: str) -> datetime:
    try:
        time = datetime.fromisoformat(_typed(found, name, str))
    except ValueError as exc:
        raise ValueError(f"field {name!r} is not a time: {exc}") from None
    if time.tzinfo is None:
        raise ValueError(f"field {name!r} is a time without a zone")
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ValueError(f"field {name!r} is not between the years {FIRST_YEAR} and {LAST_YEAR}")
    return time


def _bytes(text: object, name: str) -> bytes:
    try:
        return b64decode(text if isinstance(text, str) else "?", validate=True)
    except ValueError:
        raise ValueError(f"field {name!r} is not base64") from None


def _event_id(envelope: Envelope, type_: str, subject: str, mark: bytes) -> str:
    # Without the epoch: a watcher that writes a cut again gives its events the same ids.
    text = f"{envelope.source}\x1f{envelope.cut}\x1f{type_}\x1f{subject}\x1f"
    return blake2b(text.encode() + mark, digest_size=16).hexdigest()


def _reason(exc: Exception) -> str:
    return f"field {exc} is missing" if isinstance(exc, KeyError) else str(exc)
