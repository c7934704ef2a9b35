"""Names as they are shown, with a mark for each character that a terminal or a log acts upon.

The name of a datasource or a point, or a server's message, can hold any characters: an escape
sequence that renames or clears a window, or marks that turn the direction of the following text.
"""

import re

_CONTROLS = 0x20
_PICTURES = 0x2400
"""First of Unicode's pictures for control characters: ␛ is the one of escape."""
_DELETE = "\x7f"
_REPLACEMENT = "\ufffd"
_NOT_PLAIN = re.compile("[^\x00-\x7e]+")


def printable(text: str, *, lines: bool = False) -> str:
    """Return a text of the same length, with a mark for each character that is not printable.

    `lines` keeps line feeds, for messages of several lines.
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or (lines and one == "\n") else _mark(one) for one in text
    )


def escaped_json(document: str) -> str:
    """Return an equivalent JSON document with escapes for characters that are not printable.

    JSON itself requires escapes for the first 32 characters only.
    """
    return _NOT_PLAIN.sub(lambda found: _escape(found[0]), document)


def _mark(one: str) -> str:
    if one.isspace() and ord(one) > ord(_DELETE):
        return " "
    if ord(one) < _CONTROLS:
        return chr(_PICTURES + ord(one))
    return "\u2421" if one == _DELETE else _REPLACEMENT


def _escape(run: str) -> str:
    if run.isprintable():  # a look at each letter of 100,000 names would take a minute
        return run
    return "".join(one if one.isprintable() else _escaped(one) for one in run)


def _escaped(one: str) -> str:
    pairs = one.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(pairs[at : at + 2]):04x}" for at in range(0, len(pairs), 2))
