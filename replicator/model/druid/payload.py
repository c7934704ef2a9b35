"""Reading and changing single members of a JSON payload without touching any other byte.

Druid's payloads have members that this tool does not know, 64-bit numbers, and whatever a newer
release adds. Only the text of the member that must change is replaced.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final, NamedTuple

import orjson

from replicator.errors import MalformedRowError
from replicator.model.document import DEPTH_MAX, is_deep, refuse_many_values

_DECODER = json.JSONDecoder()
_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_ENCODE_ASCII = json.JSONEncoder(separators=(",", ":")).encode
_SPACE = " \t\r\n"
_PLAIN = re.compile(r'\{"[^"\\]*":"[^"\\]*"(?:,"[^"\\]*":"[^"\\]*")*\}')
"""An object of texts without escapes, like most load specs: both decoders read it alike."""
SIZE_BYTES_MAX: Final = 1 << 53
"""Largest accepted `size`, 9 PB; every JSON reader represents numbers up to it exactly."""


class Member(NamedTuple):
    """One member of a JSON object: its name, its value, and the position of the value's text."""

    name: str
    value: Any
    start: int
    end: int


def parse(payload: bytes) -> dict[str, Any]:
    """Return the payload as a JSON object.

    Raises:
        MalformedRowError: the payload is not UTF-8, not JSON, nested too deeply, or no object.
    """
    found = parse_any(payload)
    if not isinstance(found, dict):
        raise MalformedRowError("its payload is not a JSON object")
    return found


def parse_any(payload: bytes) -> Any:
    """Return the value of a payload, of any type.

    Raises:
        MalformedRowError: the payload is not UTF-8, not JSON, has too many values, or is nested too
            deeply.
    """
    try:
        refuse_many_values(payload)
        text = payload.decode()
        found = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise MalformedRowError(f"its payload is not JSON: {exc}") from exc
    _refuse_deep(found, text.count("[") + text.count("{"))
    return found


def encoded(value: Any) -> bytes:
    """Return compact JSON, as Druid writes it.

    A string may contain a lone surrogate, which UTF-8 can only express as an escape.
    """
    try:
        return _ENCODE(value).encode()
    except UnicodeEncodeError:
        return _ENCODE_ASCII(value).encode()


def member(payload: bytes, name: str) -> Any:
    """Return the value of one top-level member; None if there is none.

    Raises:
        MalformedRowError: the part of the payload that has to be read is not a JSON object.
    """
    found = _find(_decode(payload), name)
    return found.value if found else None


def with_member(payload: bytes, name: str, value: Any) -> bytes:
    """Return the payload with one top-level member replaced, or added at the end.

    Raises:
        MalformedRowError: as for `member`.
    """
    text = _decode(payload)
    return _replaced(text, name, _find(text, name), value)


def with_changed_member(payload: bytes, name: str, change: Callable[[Any], Any]) -> bytes:
    """Return the payload with one top-level member's value replaced by the result of `change`.

    `change` gets None if there is no such member. If it returns its argument, the payload is
    returned unchanged.

    Raises:
        MalformedRowError: as for `member`; errors of `change` pass through.
    """
    text = _decode(payload)
    found = _find(text, name)
    before = found.value if found else None
    after = change(before)
    return payload if after is before else _replaced(text, name, found, after)


def segment_size(found: object) -> int:
    """Return a segment's `size`, its unpacked bytes; 0 for a value that no segment can have.

    The row itself is replicated unchanged: Druid ignores a negative `size` and one that no Java
    long can hold (DataSegment, seen with 33.0.0). Sums of sizes can rely on the bound.
    """
    if isinstance(found, bool) or not isinstance(found, int):
        return 0
    return found if 0 <= found <= SIZE_BYTES_MAX else 0


def _replaced(text: str, name: str, found: Member | None, value: Any) -> bytes:
    changed = _quickly_encoded(value).decode()
    if found:
        return (text[: found.start] + changed + text[found.end :]).encode()
    comma = "," if parse(text.encode()) else ""
    head = text.rstrip(_SPACE).removesuffix("}").rstrip(_SPACE)
    return f"{head}{comma}{_ENCODE(name)}:{changed}}}".encode()


def _quickly_encoded(value: Any) -> bytes:
    """Return compact JSON; values that orjson cannot write, like large integers, by `json`."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return encoded(value)


def _find(text: str, name: str) -> Member | None:
    """Return a top-level member.

    A name before any nested object or array is found without parsing the members before it: Druid
    writes `loadSpec` as the fourth member of a payload that may have kilobytes.
    """
    at = text.find(f'"{name}"')
    if at < 0:
        return None
    head = text[:at]
    start = _skip(text, at + len(name) + 2)
    nested = head.count("{") > 1 or "[" in head or "\\" in head
    if not nested and head[:1] == "{" and text[start] == ":":
        start = _skip(text, start + 1)
        value, end = _scan(text, start)
        return Member(name, value, start, end)
    return next((found for found in _members(text) if found.name == name), None)


def _members(text: str) -> Iterator[Member]:
    at = _past(text, 0, "{")
    if text[at] == "}":
        return
    while True:
        name, at = _scan(text, at)
        start = _past(text, at, ":")
        value, end = _scan(text, start)
        yield Member(name, value, start, end)
        at = _skip(text, end)
        if text[at] == "}":
            return
        at = _past(text, at, ",")


def _past(text: str, at: int, sign: str) -> int:
    """Return the position of the token after a sign, which must come next."""
    at = _skip(text, at)
    if text[at] != sign:
        raise MalformedRowError(f"its payload has no {sign!r} at character {at}")
    return _skip(text, at + 1)


def _scan(text: str, at: int) -> tuple[Any, int]:
    if (plain := _PLAIN.match(text, at)) is not None:
        with suppress(ValueError):  # the other decoder says what is wrong with it
            return orjson.loads(plain[0]), plain.end()
    try:
        value, end = _DECODER.raw_decode(text, at)
    except (ValueError, RecursionError) as exc:
        raise MalformedRowError(f"its payload is not JSON near character {at}") from exc
    if end - at > DEPTH_MAX:  # a shorter text has not so many brackets
        _refuse_deep(value, text.count("[", at, end) + text.count("{", at, end))
    return value, end


def _refuse_deep(value: Any, brackets: int) -> None:
    if is_deep(value, brackets):
        raise MalformedRowError(f"its payload is nested more than {DEPTH_MAX} levels deep")


def _skip(text: str, at: int) -> int:
    """Return the position of the next character that is not a space; there must be one."""
    try:
        while text[at] in _SPACE:
            at += 1
    except IndexError:
        raise MalformedRowError("its payload ends in the middle") from None
    return at


def _decode(payload: bytes) -> str:
    try:
        text = payload.decode()
        refuse_many_values(payload)
    except UnicodeDecodeError as exc:
        raise MalformedRowError(f"its payload is not UTF-8: {exc}") from exc
    except ValueError as exc:
        raise MalformedRowError(f"its payload is not read: {exc}") from exc
    return text
