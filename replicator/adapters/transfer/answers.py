"""What a server's error says, in the words of its own document and without its markup."""

import html
import re
from http import HTTPStatus

import orjson

READ_MAX, SAID_MAX = 10_000, 300
"""Characters of a body that are looked at, and of a message that are shown."""
_TAGS = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_CUT = re.compile(r"<[^<>]*\Z")
"""A tag that was cut off with the rest of its document."""
_ROUTES = ("error", "RemoteException")
"""Members that hold the error in Google's answers and in Hadoop's."""


def told(body: str) -> str:
    """Return what a body says: XML of S3 and Azure, JSON of Google, Hadoop and Druid, or a page."""
    text = body[:READ_MAX].strip()
    words = _of_json(text) if text.startswith("{") else _of_markup(text)
    return " ".join(words.split())[:SAID_MAX]


def answered(status: int, body: str) -> str:
    """Return what a server answered, as a sentence goes on with it."""
    said = told(body)
    return f"the server answered {_named(status)}" + (f", {said}" if said else "")


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _of_markup(text: str) -> str:
    named = [_element(name, text) for name in ("Code", "Message")]
    if any(named):
        return ": ".join(filter(None, named))
    return html.unescape(_CUT.sub("", _TAGS.sub(" ", text)))


def _element(name: str, text: str) -> str:
    found = re.search(rf"<{name}>(.*?)(?:</|\Z)", text, re.DOTALL)
    return "" if found is None else html.unescape(found[1]).strip()


def _of_json(text: str) -> str:
    try:
        found = orjson.loads(text)
    except ValueError:
        return text
    for route in _ROUTES:
        if isinstance(inner := found.get(route), dict):
            found = inner
    names = ("exception", "message", "errorMessage", "error_description")
    words = [found[name] for name in names if isinstance(found.get(name), str)]
    return ": ".join(words) or text
