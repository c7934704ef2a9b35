"""Our own gaps in PostgreSQL: any text is held, whatever the encoding of the database lacks."""

from __future__ import annotations

import codecs
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from replicator.adapters.kept_rows import gap_row, row_of_gap

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

    from replicator.model.checkpoint import Gap

NUL: Final = "\0"
"""The one character that no text of PostgreSQL can hold."""
ESCAPE: Final = "\x10"
"""The control character "data link escape": with a digit after it, it stands for another one."""
ESCAPED: Final = re.compile(f"{ESCAPE}(0|1|2[0-9a-f]{{6}})")
ANY_CHARACTER: Final = frozenset({"UTF8", "SQL_ASCII"})
"""Encodings of databases that hold every character that is sent."""
OTHER_NAMES: Final = {"euc_cn": "gb2312", "koi8r": "koi8_r", "koi8u": "koi8_u"}
"""Python's names of encodings that PostgreSQL calls otherwise."""


def gap_values(gap: Gap, encoding: str) -> Mapping[str, str | int | None]:
    """Return a gap by `GAP_COLUMNS`, as a database of this encoding holds it."""
    return gap_row(
        replace(
            gap,
            key=_escaped(gap.key, encoding),
            datasource=_escaped(gap.datasource, encoding),
            detail=_escaped(gap.detail, encoding),
        )
    )


def _escaped(text: str, encoding: str) -> str:
    """Return a text that a database holds, from which `_unescaped` makes the same one again."""
    text = text.replace(ESCAPE, f"{ESCAPE}1").replace(NUL, f"{ESCAPE}0")
    if encoding in ANY_CHARACTER:
        return text
    codec = _codec(encoding)
    return "".join(one if _is_of(codec, one) else f"{ESCAPE}2{ord(one):06x}" for one in text)


def can_hold(text: str, encoding: str) -> bool:
    """Return whether a text of Druid's can be in a database of this encoding as it is."""
    if NUL in text:
        return False
    if encoding in ANY_CHARACTER or (codec := _codec(encoding)) is None:
        return True  # a database of an encoding that Python lacks decides by itself
    return all(_is_of(codec, one) for one in text)


def _codec(encoding: str) -> str | None:
    """Return Python's name of a database's encoding; None if Python lacks it."""
    found = encoding.lower().replace("win", "cp")
    try:
        return codecs.lookup(OTHER_NAMES.get(found, found)).name
    except LookupError:
        return None


def _is_of(codec: str | None, one: str) -> bool:
    try:
        one.encode(codec or "ascii")
    except UnicodeEncodeError:
        return False
    return True


def _unescaped(text: str) -> str:
    return ESCAPED.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    match found[1]:
        case "0":
            return NUL
        case "1":
            return ESCAPE
        case code:
            return chr(int(code[1:], 16))


def read_gap(row: asyncpg.Record) -> Mapping[str, Any]:
    """Return a row of gaps as `gaps_of` takes it."""
    found = row_of_gap(dict(row))
    return {**found, **{name: _unescaped(found[name]) for name in ("key", "datasource", "detail")}}
