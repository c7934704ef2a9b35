"""An event's effect on a row, in words: the kind of change, and each difference.

Whoever may look at anything reads these words, and the specification of a supervisor can hold
passwords anywhere: of its values only `true`, `false` and `null` are shown.
"""

import json
from collections.abc import Callable, Iterator
from enum import StrEnum
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
PATHS_CHARS_MAX: Final = 16 << 20
"""Characters of all paths of one payload; a specification of a megabyte has some ten million."""
USED_SINCE = "used_status_last_updated"
_WITHOUT_SECRETS = (Segment, CommitMetadata, Rules)
"""Rows whose values Druid itself computes, or that only say where segments are loaded."""


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
    old, new = _leaves(before), _leaves(after)
    if old is None or new is None:
        yield f"a payload that is no JSON, or a very large one: {len(before)} → {len(after)} bytes"
        return
    if old == new:
        yield "the payload's bytes, and none of its values"
    for path in {**old, **new}:
        if path not in new:
            yield f"{path}: {shown(old[path])} → gone"
        elif path not in old:
            yield f"{path}: new, {shown(new[path])}"
        elif old[path] != new[path]:
            yield f"{path}: {shown(old[path])} → {shown(new[path])}"


def _leaves_of(payload: bytes) -> Iterator[str]:
    for path, value in (_leaves(payload) or {}).items():
        yield f"{path}: {_shown(value)}"


def _leaves(payload: bytes) -> dict[str, Any] | None:
    """Return all values of a JSON document by their paths; None: it is not JSON, or too much.

    Each path repeats the names above it: a long one above many values would fill the memory.
    """
    found, left = dict[str, Any](), PATHS_CHARS_MAX
    try:
        for path, value in _walk(parse_any(payload), ""):
            left -= len(path)
            if left < 0:
                return None
            found[path] = value
    except MalformedRowError:
        return None
    return found


def _walk(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    children: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = [(str(index), child) for index, child in enumerate(value)]
    if not children:
        yield path or "payload", value
    for name, child in children:
        yield from _walk(child, f"{path}.{name}" if path else name)


def _bounded(details: Iterator[str]) -> tuple[str, ...]:
    found = list(details)
    if len(found) <= DETAILS_MAX:
        return tuple(found)
    return (*found[: DETAILS_MAX - 1], f"and {len(found) - DETAILS_MAX + 1} more")


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= VALUE_SHOWN_CHARS else f"{text[:VALUE_SHOWN_CHARS]}…"


def _veiled(value: Any) -> str:
    """Return what may be said of a value that can be a secret."""
    return _shown(value) if value is None or isinstance(value, bool) else "(not shown)"


def _type(payload: bytes) -> Any:
    return (_leaves(payload) or {}).get("type")
