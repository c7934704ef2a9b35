"""An event's effect on a row, in words: the kind of change, and each difference.

Every viewer can read these words, and the specification of a supervisor can hold
passwords anywhere: of its values only `true`, `false` and `null` are shown.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple

from replicator.errors import MalformedRowError
from replicator.model.druid.payload import parse_any
from replicator.model.event import RowChanged, RowEvent
from replicator.model.row import (
    KIND_OF,
    TABLES,
    TERMINATED_SUPERVISOR,
    CommitMetadata,
    Kind,
    Row,
    Rules,
    Segment,
    Supervisor,
)

DETAILS_MAX = 20
VALUE_SHOWN_CHARS = 120
PATH_SHOWN_CHARS = 200
USED_SINCE = "used_status_last_updated"
_WITHOUT_SECRETS = (Segment, CommitMetadata, Rules)
"""Rows whose values Druid itself computes, or that only say where segments are loaded."""
_ABSENT: Final = object()
"""Stands for a value that a document does not have."""


class ChangeKind(StrEnum):
    """The kind of a change."""

    PUBLISHED = "published"
    MARKED_UNUSED = "marked unused"
    MARKED_USED = "marked used"
    PAYLOAD_REWRITTEN = "payload rewritten"
    COLUMNS_CHANGED = "columns changed"
    KILLED = "killed"
    """The row was removed while unused, as by Druid's kill."""
    DELETED = "row deleted"
    """The row was removed while used, or in an unknown state: a kill takes unused segments only."""
    OFFSETS_COMMITTED = "offsets committed"
    OFFSETS_REMOVED = "offsets removed"
    RULES_CHANGED = "rules changed"
    RULES_REMOVED = "rules removed"
    SUPERVISOR_CHANGED = "supervisor changed"
    SUPERVISOR_TERMINATED = "supervisor terminated"
    SUPERVISOR_REMOVED = "supervisor removed"
    ROW_CHANGED = "row changed"
    ROW_REMOVED = "row removed"


class Change(NamedTuple):
    """One change with its differences to the previous state, at most `DETAILS_MAX` of them."""

    what: ChangeKind
    details: tuple[str, ...]


def change(event: RowEvent, before: Row | None) -> Change:
    """Return an event's effect; `before` is the replaced row, None if that is unknown."""
    if not isinstance(event, RowChanged):
        return _removed(event.key.kind, before)
    row = event.row
    if event.previous is None:
        return Change(_first(row), _state(row))
    if before is None:
        unknown = "the log does not go back to what it was before"
        return Change(_later(row, None), (*_state(row), unknown))
    return Change(_later(row, before), _bounded(_differences(before, row)))


_REMOVED = {
    Kind.COMMIT: ChangeKind.OFFSETS_REMOVED,
    Kind.RULES: ChangeKind.RULES_REMOVED,
    Kind.SUPERVISOR: ChangeKind.SUPERVISOR_REMOVED,
}


def _removed(kind: Kind, before: Row | None) -> Change:
    if kind is not Kind.SEGMENT:
        return Change(_REMOVED.get(kind, ChangeKind.ROW_REMOVED), _last_state(before))
    if isinstance(before, Segment) and not before.used:
        return Change(ChangeKind.KILLED, _last_state(before))
    return Change(ChangeKind.DELETED, (*_last_state(before), *_how(before)))


def _how(before: Row | None) -> tuple[str, ...]:
    """Return how a used row can disappear."""
    if before is None:
        return ()
    return ("by hand; or it was marked unused and killed since the cut before",)


def _first(row: Row) -> ChangeKind:
    return ChangeKind.PUBLISHED if isinstance(row, Segment) else _later(row, None)


def _later(row: Row, before: Row | None) -> ChangeKind:
    match row:
        case Segment():
            return _of_segment(row, before)
        case CommitMetadata():
            return ChangeKind.OFFSETS_COMMITTED
        case Rules():
            return ChangeKind.RULES_CHANGED
        case Supervisor():
            ended = _type(row.payload) == TERMINATED_SUPERVISOR
            return ChangeKind.SUPERVISOR_TERMINATED if ended else ChangeKind.SUPERVISOR_CHANGED
        case _:
            return ChangeKind.ROW_CHANGED


def _of_segment(row: Segment, before: Row | None) -> ChangeKind:
    if not isinstance(before, Segment):
        return ChangeKind.COLUMNS_CHANGED
    if row.used != before.used:
        return ChangeKind.MARKED_USED if row.used else ChangeKind.MARKED_UNUSED
    return (
        ChangeKind.COLUMNS_CHANGED
        if row.payload == before.payload
        else ChangeKind.PAYLOAD_REWRITTEN
    )


def _state(row: Row) -> tuple[str, ...]:
    match row:
        case Segment():
            return ("used" if row.used else "unused",)
        case CommitMetadata():
            return _bounded(_leaves_of(row.commit_metadata_payload))
        case Rules():
            return _bounded(_leaves_of(row.payload))
        case _:
            return ()


def _last_state(before: Row | None) -> tuple[str, ...]:
    if not isinstance(before, Segment):
        return ()
    since = before.used_status_last_updated
    return (f"it was {'used' if before.used else 'unused'}" + (f" since {since}" if since else ""),)


def _differences(before: Row, after: Row) -> Iterator[str]:
    table = TABLES[KIND_OF[type(after)]]
    shown = _shown if isinstance(after, _WITHOUT_SECRETS) else _veiled
    for name in table.columns:
        old, new = getattr(before, name), getattr(after, name)
        if old != new and name not in {*table.in_bytes, USED_SINCE}:
            yield f"{name}: {_shown(old)} → {_shown(new)}"
    for name in table.in_bytes:
        yield from _payload_differences(getattr(before, name), getattr(after, name), shown)
    for name in sorted({*before.extras, *after.extras}):
        old, new = before.extras.get(name), after.extras.get(name)
        if old != new:
            yield f"{name}: {shown(old)} → {shown(new)}"
    old, new = getattr(before, USED_SINCE, None), getattr(after, USED_SINCE, None)
    if old != new:
        yield f"{USED_SINCE}: {_shown(old)} → {_shown(new)}"


def _payload_differences(before: bytes, after: bytes, shown: Callable[[Any], str]) -> Iterator[str]:
    if before == after:
        return
    old, new = _parsed(before), _parsed(after)
    if old is _ABSENT or new is _ABSENT:
        yield f"a payload that is no JSON: {len(before)} → {len(after)} bytes"
        return
    is_equal = True
    for path, was, now in _leaves(old, new):
        if was is _ABSENT:
            yield f"{path}: new, {shown(now)}"
        elif now is _ABSENT:
            yield f"{path}: {shown(was)} → gone"
        elif was != now:
            yield f"{path}: {shown(was)} → {shown(now)}"
        else:
            continue
        is_equal = False
    if is_equal:
        yield "the payload's bytes, and none of its values"


def _leaves_of(payload: bytes) -> Iterator[str]:
    return (f"{path}: {_shown(value)}" for path, _, value in _leaves(_ABSENT, _parsed(payload)))


def _parsed(payload: bytes) -> Any:
    """Return a payload's JSON document; `_ABSENT`: it is none."""
    try:
        return parse_any(payload)
    except MalformedRowError:
        return _ABSENT


def _leaves(old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield each path of two documents with the value that either has there, or `_ABSENT`.

    A source may write anything into a payload: paths are cut and made one by one, so that neither
    a long name above many values nor deep nesting costs more than the payload's own size.
    """
    levels = [iter([("", old, new)])]
    while levels:
        if (found := next(levels[-1], None)) is None:
            levels.pop()
            continue
        path, was, now = found
        is_nested, stays_nested = _is_nested(was), _is_nested(now)
        if not is_nested and not stays_nested:
            yield path or "payload", was, now
            continue
        if not is_nested and was is not _ABSENT:
            yield path or "payload", was, _ABSENT
        levels.append(_below(path, was if is_nested else {}, now if stays_nested else {}))
        if not stays_nested and now is not _ABSENT:
            levels.insert(-1, iter([(path, _ABSENT, now)]))


def _is_nested(value: Any) -> bool:
    return isinstance(value, dict | list) and bool(value)


def _below(path: str, was: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield the members of two documents, those of the first one in its order before the others."""
    olds, news = _members(was), _members(now)
    for name, child in olds:
        yield _step(path, name), child, _member(now, name)
    for name, child in news:
        if _member(was, name) is _ABSENT:
            yield _step(path, name), _ABSENT, child


def _members(value: Any) -> Iterable[tuple[str | int, Any]]:
    return value.items() if isinstance(value, dict) else enumerate(value)


def _member(value: Any, name: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(name, _ABSENT)
    return value[name] if isinstance(name, int) and name < len(value) else _ABSENT


def _step(path: str, name: str | int) -> str:
    below = f"{path}.{name}" if path else str(name)
    return below if len(below) <= PATH_SHOWN_CHARS else f"…{below[-PATH_SHOWN_CHARS:]}"


def _bounded(details: Iterator[str]) -> tuple[str, ...]:
    found = tuple(islice(details, DETAILS_MAX))
    more = sum(1 for _ in details)
    return (*found[:-1], f"and {more + 1} more") if more else found


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_SHOWN_CHARS else f"{text[:VALUE_SHOWN_CHARS]}…"


def _veiled(value: Any) -> str:
    """Return what may be shown of a value that can be a secret."""
    return _shown(value) if value is None or isinstance(value, bool) else "(not shown)"


def _type(payload: bytes) -> Any:
    document = _parsed(payload)
    return document.get("type") if isinstance(document, dict) else None
