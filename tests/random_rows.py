"""Rows of every kind with what texts and payloads can hold, the same for each database."""

from collections.abc import Callable
from dataclasses import fields
from random import Random
from typing import Any

from replicator.model.row import TABLES, Kind, Row

USED_STATUS = "used_status_last_updated"
TEXTS = (
    "",
    "it's",
    'say "so"',
    "back\\slash",
    "日本語",
    "👍🏽",
    "a\tb\nc",
    "\x1e",
    "NULL",
    "%s $1 {}",
)
PAYLOADS = (b"", b"\x00\xff\xfe", b"\\x41", b"\x1f\x1e", "ü".encode(), bytes(range(256)) * 40)


def random_value(rng: Random, type_: object) -> Any:
    if type_ is bool:
        return rng.random() < 0.5
    if type_ is bytes:
        return rng.choice(PAYLOADS) + rng.randbytes(rng.randrange(9))
    if type_ is int:
        return rng.choice([0, 1, -1, rng.randrange(2**31)])
    if type_ == int | None:
        return rng.choice([None, 0, rng.randrange(2**63)])
    text = rng.choice(TEXTS) + "".join(chr(rng.randrange(32, 0x2FFF)) for _ in range(9))
    return rng.choice([None, text]) if type_ == str | None else text


def random_row(rng: Random, kind: Kind, columns: set[str]) -> Row:
    values: dict[str, Any] = {
        spec.name: random_value(rng, spec.type) if spec.name in columns else None
        for spec in fields(TABLES[kind].row_type)
        if spec.name != "extras"
    }
    if kind in {Kind.SUPERVISOR, Kind.AUDIT}:
        values["id"] = rng.randrange(2**63)
    if kind is Kind.TABLE_DEFINITION:
        values |= {"state": rng.choice("AD"), "tabletype": values["tabletype"][:20]}
    if USED_STATUS in columns:
        values[USED_STATUS] = values[USED_STATUS] or ""  # it is NOT NULL
    row_type: Callable[..., Row] = TABLES[kind].row_type
    return row_type(**values)
