"""Reading and changing single members of a JSON payload without touching any other byte.

Druid's own payloads carry fields that this tool does not know, 64-bit numbers and whatever a newer
release adds. Only the span of the member that must change is replaced.
"""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from replicator.errors import MalformedRowError

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


class Member(NamedTuple):
    """One member of a JSON object: its name, its value and where the value's text stands."""

    name: str
    value: Any
    start: int
    end: int


def parse(payload: bytes) -> dict[str, Any]:
    """Return the payload as a JSON object.

    Raises:
        MalformedRowError: it is not UTF-8, not JSON, or not an object.
    """
    try:
        found = json.loads(payload.decode())
    except ValueError as exc:
        raise MalformedRowError(f"its payload is not JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise MalformedRowError("its payload is not a JSON object")
    return found


def member(payload: bytes, name: str) -> Any:
    """Return the value of one top-level member, None when there is none."""
    found = _find(_decode(payload), name)
    return found.value if found else None


def with_member(payload: bytes, name: str, value: Any) -> bytes:
    """Return the payload with one top-level member replaced, or added at the end."""
    text, encoded = _decode(payload), json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    found = _find(text, name)
    if found:
        return (text[: found.start] + encoded + text[found.end :]).encode()
    head = text.rstrip().removesuffix("}").rstrip()
    comma = "" if head.endswith("{") else ","
    return f"{head}{comma}{json.dumps(name)}:{encoded}}}".encode()


def _find(text: str, name: str) -> Member | None:
    """Return a top-level member; the first occurrence of its name decides in most payloads."""
    at = text.find(f'"{name}"')
    if at < 0:
        return None
    head = text[:at]
    start = _skip(text, at + len(name) + 2)
    if head.count("{") == 1 and "[" not in head and text[start : start + 1] == ":":
        start = _skip(text, start + 1)
        value, end = _scan(text, start)
        return Member(name, value, start, end)
    return next((found for found in _members(text) if found.name == name), None)


def _members(text: str) -> Iterator[Member]:
    at = _skip(text, 0)
    if text[at : at + 1] != "{":
        raise MalformedRowError("its payload is not a JSON object")
    at = _skip(text, at + 1)
    while text[at : at + 1] not in {"}", ""}:
        name, at = _scan(text, at)
        start = _skip(text, _skip(text, at) + 1)
        value, end = _scan(text, start)
        yield Member(name, value, start, end)
        at = _skip(text, end)
        if text[at : at + 1] == ",":
            at = _skip(text, at + 1)


def _scan(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, at)
    except ValueError as exc:
        raise MalformedRowError(f"its payload is not JSON near character {at}") from exc


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] and text[at] in _SPACE:
        at += 1
    return at


def _decode(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError as exc:
        raise MalformedRowError(f"its payload is not UTF-8: {exc}") from exc
