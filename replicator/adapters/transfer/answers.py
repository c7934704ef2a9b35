"""What a server answers: its documents by their types, and its errors in their own words."""

import html
import re
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import orjson
from pydantic import ValidationError
from pydantic_core import SchemaValidator

from replicator.model.document import first_fault_validator, refuse_many_values

_T_co = TypeVar("_T_co", covariant=True)

READ_MAX, MESSAGE_MAX = 10_000, 300
"""Characters of a body that are looked at, and of a message that are shown."""
_TAGS = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_CUT = re.compile(r"<[^<>]*\Z")
"""A tag that was cut off with the rest of its document."""
_ROUTES = ("error", "RemoteException")
"""Members that hold the error in Google's answers and in Hadoop's."""


class OddAnswerError(ValueError):
    """An answer is not of the form that its service documents."""


class AnswerShape(Generic[_T_co]):
    """What one kind of answer in JSON must be; members that are not named are ignored.

    Args:
        type_: The type of the answer, of which a dataclass names the members that are used.
    """

    def __init__(self, type_: Any) -> None:
        self._type = type_
        self._validator: SchemaValidator | None = None

    def read(self, data: bytes) -> _T_co:
        """Return what an answer says.

        Raises:
            OddAnswerError: it is no JSON, has too many values, or a member is missing or of another
                type.
        """
        if self._validator is None:  # made when it is needed: it takes milliseconds
            self._validator = first_fault_validator(self._type)
        try:
            refuse_many_values(data)
            found: _T_co = self._validator.validate_json(data)
        except ValidationError as exc:
            first = exc.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise OddAnswerError(": ".join(filter(None, (place, first["msg"])))) from exc
        except ValueError as exc:
            raise OddAnswerError(str(exc)) from exc
        return found


def message_of(body: str) -> str:
    """Return what a body says: XML of S3 and Azure, JSON of Google, Hadoop and Druid, or a page."""
    text = body[:READ_MAX].strip()
    words = _of_json(text) if text.startswith("{") else _of_markup(text)
    return " ".join(words.split())[:MESSAGE_MAX]


def answered(status: int, body: str) -> str:
    """Return what a server answered, as a sentence goes on with it."""
    message = message_of(body)
    return f"the server answered {_named(status)}" + (f", {message}" if message else "")


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
