"""What an event speaks of, found by its text at a fraction of the price of decoding it."""

import re
from typing import NamedTuple

import orjson

from replicator.model.event import CutNumber, Epoch, Record
from replicator.model.interval import ETERNITY, Interval, interval
from replicator.model.row import Kind
from replicator.model.wire import CHANGED_TYPE, REMOVED_TYPE

# Unescaped quotes are the document's own: those of payloads are within a JSON text.
_SUBJECT = re.compile(rb'"subject":("(?:[^"\\]|\\.)*")')
_DATASOURCE = re.compile(rb'"datasource":("(?:[^"\\]|\\.)*")')
_USED = re.compile(rb'"used":(true|false)')
_ATTEMPT = re.compile(rb'"cut":(\d+),"epoch":(\d+),"data":')
_INSTANT = r"-?\d{4,}-\d\d-\d\dT[\d:.]+Z"
_PLACE = re.compile(rf"_(?=({_INSTANT})_({_INSTANT})_(.+))", re.DOTALL | re.ASCII)
"""Looks ahead, so that places that overlap are all found."""
_VERSION = re.compile(rf"{_INSTANT}(_\d+)?", re.ASCII)
"""As Druid gives them, with the number of a partition."""
_CHANGED = {name: kind for kind, name in CHANGED_TYPE.items()}
_REMOVED = {name: kind for kind, name in REMOVED_TYPE.items()}


class Mention(NamedTuple):
    """What the text of an event says."""

    kind: Kind
    key: str
    is_removal: bool
    datasource: str | None
    """Of a segment; None where the id of one that is gone does not tell."""
    used: bool | None
    """Of a changed segment."""
    epoch: Epoch
    cut: CutNumber

    def is_of(self, datasource: str) -> bool:
        """Return whether a segment is, or could be, one of this datasource."""
        if self.datasource is not None:
            return self.datasource == datasource
        return self.key.startswith(f"{datasource}_")

    @property
    def interval(self) -> Interval:
        """The segment's, all of time when its id does not tell."""
        found = segment_name(self.key)
        return ETERNITY if found is None else found.interval


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
    key = orjson.loads(subject[1])
    is_segment = kind is Kind.SEGMENT and not is_removal
    used = _USED.search(record.data) if is_segment else None
    return Mention(
        kind=kind,
        key=key,
        datasource=_datasource(record, key) if kind is Kind.SEGMENT else None,
        is_removal=is_removal,
        used=None if used is None else used[1] == b"true",
        epoch=Epoch(int(attempt[2])),
        cut=CutNumber(int(attempt[1])),
    )


def segment_name(id_: str) -> SegmentName | None:
    """Return what a segment's id says, None when it is not like one of Druid's.

    An id is `<datasource>_<start>_<end>_<version>[_<partition>]` (Druid's SegmentId). A datasource
    may itself end like an id, and a version is an instant like the others, so the rightmost
    place is taken after which nothing but a version is left.
    """
    places = [
        (SegmentName(id_[: found.start()], ends), found[3])
        for found in _PLACE.finditer(id_)
        if (ends := _ends(found[1], found[2])) is not None
    ]
    if not places:
        return None
    exact = [name for name, rest in places if _VERSION.fullmatch(rest)]
    return exact[-1] if exact else places[-1][0]


def _ends(start: str, end: str) -> Interval | None:
    try:
        return interval(start, end)
    except ValueError:
        return None


def _datasource(record: Record, key: str) -> str | None:
    """Return whose a segment is: its row says so, where that is gone its id."""
    if (named := _DATASOURCE.search(record.data)) is not None:
        found: str = orjson.loads(named[1])
        return found
    name = segment_name(key)
    return None if name is None else name.datasource


def kind_of(record: Record) -> Kind | None:
    """Return the kind of row that a record speaks of, None when it closes a cut."""
    return _CHANGED.get(record.type) or _REMOVED.get(record.type)
