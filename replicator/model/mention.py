"""What an event speaks of, found by its text at a fraction of the price of decoding it."""

import re
from typing import NamedTuple

import orjson

from replicator.model.event import CutNumber, Epoch, Record
from replicator.model.interval import Interval, interval
from replicator.model.row import Kind
from replicator.model.wire import CHANGED_TYPE, REMOVED_TYPE

# Unescaped quotes are the document's own: those of payloads are within a JSON text.
_SUBJECT = re.compile(rb'"subject":("(?:[^"\\]|\\.)*")')
_USED = re.compile(rb'"used":(true|false)')
_ATTEMPT = re.compile(rb'"cut":(\d+),"epoch":(\d+),"data":')
_INSTANT = r"-?\d{4,}-\d\d-\d\dT[\d:.]+Z"
_INTERVAL = re.compile(rf"({_INSTANT})_({_INSTANT})_")
_UNDERSCORE = re.compile("_")
_CHANGED = {name: kind for kind, name in CHANGED_TYPE.items()}
_REMOVED = {name: kind for kind, name in REMOVED_TYPE.items()}


class Mention(NamedTuple):
    """What the text of an event says."""

    kind: Kind
    key: str
    is_removal: bool
    used: bool | None
    """Of a changed segment."""
    epoch: Epoch
    cut: CutNumber


class SegmentName(NamedTuple):
    """What the id of a segment says of it, also when its row is gone."""

    datasource: str
    interval: Interval


def mention(record: Record) -> Mention | None:
    """Return what a record speaks of; None when it closes a cut or is not written by this tool."""
    kind = kind_of(record)
    subject, attempt = _SUBJECT.search(record.data), _ATTEMPT.search(record.data)
    if kind is None or subject is None or attempt is None:
        return None
    is_removal = record.type in _REMOVED
    is_segment = kind is Kind.SEGMENT and not is_removal
    used = _USED.search(record.data) if is_segment else None
    return Mention(
        kind=kind,
        key=orjson.loads(subject[1]),
        is_removal=is_removal,
        used=None if used is None else used[1] == b"true",
        epoch=Epoch(int(attempt[2])),
        cut=CutNumber(int(attempt[1])),
    )


def segment_name(id_: str) -> SegmentName | None:
    """Return what a segment's id says, None when it is not like one of Druid's."""
    for found in _UNDERSCORE.finditer(id_):
        datasource = id_[: found.start()]
        if (place := interval_within(id_, datasource)) is not None:
            return SegmentName(datasource, place)
    return None


def interval_within(id_: str, datasource: str) -> Interval | None:
    """Return the interval of a segment by its id, None when it is not of this datasource."""
    if not id_.startswith(f"{datasource}_"):
        return None
    found = _INTERVAL.match(id_, len(datasource) + 1)
    try:
        return None if found is None else interval(found[1], found[2])
    except ValueError:
        return None


def kind_of(record: Record) -> Kind | None:
    """Return the kind of row that a record speaks of, None when it closes a cut."""
    return _CHANGED.get(record.type) or _REMOVED.get(record.type)
