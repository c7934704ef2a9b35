"""Wrong versions of right inputs: bytes that rotted, and members that somebody else wrote."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

NESTED: list[Any] = []
for _ in range(300):  # more levels than orjson writes, and fewer than it reads
    NESTED = [NESTED]
ODD: tuple[Any, ...] = (
    NESTED,
    None,
    True,
    0,
    -1,
    7,
    2**31,
    2**53 + 1,
    2**62 + 5,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63),
    -(2**63) - 1,
    10**30,
    10**400,
    1.5,
    1e308,
    float("inf"),
    float("nan"),
    "",
    "a",
    "..",
    "../../../etc/passwd",
    "/etc/passwd",
    "a\0b",
    "\x1b]0;x\x07",
    "\u202egro",
    "\ud800",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00",
    "2024-05-01T12:30:00",
    "f" * 64,
    "0" * 5_000,
    [],
    [[]],
    [None],
    {},
    {"a": {"a": {}}},
    {"type": "local", "path": "/var/../etc"},
)
"""What may stand where something else should."""
CUTS = (
    b"\0",
    b"\n",
    b'"',
    b"}",
    b"{",
    b"[" * 2_000,
    b"9" * 400,
    b"9" * 5_000,
    b"1e400",
    b"\xff\xfe",
    b"\xf0\x9f",
    b",,",
)


def bytes_of(rng: Random, data: bytes, others: list[bytes]) -> bytes:
    """Return bytes with one to three changes that no writer makes."""
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(data) + 1)
        data = rng.choice(CHANGES)(rng, data, at, others)
    return data


def document_of(rng: Random, data: bytes, others: list[bytes]) -> bytes:
    """Return a JSON document with one to three members changed; of what is none, bytes."""
    try:
        found = json.loads(data)
    except ValueError:
        return bytes_of(rng, data, others)
    for _ in range(rng.randint(1, 3)):
        found = _with_change(rng, found)
    return json.dumps(found, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")


def _with_change(rng: Random, found: Any) -> Any:
    """Return a value of JSON in which something, somewhere, is another one."""
    if not found or not isinstance(found, dict | list) or rng.random() < 0.1:
        return rng.choice(ODD)
    if isinstance(found, list):
        at = rng.randrange(len(found))
        return [*found[:at], _with_change(rng, found[at]), *found[at + rng.randint(0, 1) :]]
    name = rng.choice(list(found))
    changed = {**found, name: _with_change(rng, found[name])}
    if rng.random() < 0.2:
        del changed[name]
    if rng.random() < 0.1:
        changed[str(rng.choice(ODD))] = rng.choice(ODD)
    return changed


def _flip(rng: Random, data: bytes, at: int, _: list[bytes]) -> bytes:
    return data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]


def _cut(_: Random, data: bytes, at: int, __: list[bytes]) -> bytes:
    return data[:at]


def _without(rng: Random, data: bytes, at: int, _: list[bytes]) -> bytes:
    return data[:at] + data[at + rng.randint(1, 30) :]


def _twice(rng: Random, data: bytes, at: int, _: list[bytes]) -> bytes:
    return data[:at] + data[max(0, at - rng.randint(1, 60)) :]


def _with(rng: Random, data: bytes, at: int, _: list[bytes]) -> bytes:
    return data[:at] + rng.choice(CUTS) + data[at:]


def _spliced(rng: Random, data: bytes, at: int, others: list[bytes]) -> bytes:
    other = rng.choice(others)
    return data[:at] + other[rng.randrange(len(other) + 1) :]


Change = Callable[[Random, bytes, int, list[bytes]], bytes]
CHANGES: tuple[Change, ...] = (_flip, _flip, _cut, _without, _twice, _with, _spliced)
