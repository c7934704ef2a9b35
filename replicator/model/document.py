"""Small JSON documents of a store, a plan or a state: one way to write and one to read them.

A document is a JSON object, most of them with the number of their format as the first member. Each
kind is a `Shape` over a dataclass, whose annotations say what every member must be; it is checked
once, strictly, when it is read. An attacker who can write to a store can write anything there, so
nothing of a document is used before that.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Generic, TypeAlias, TypeVar, get_type_hints

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, SchemaValidator

from replicator.errors import CorruptionError
from replicator.model.timestamps import FIRST_YEAR, LAST_YEAR

_T = TypeVar("_T")
INT_MAX = 2**63 - 1
NAME_CHARACTERS_MAX = 200
DIGITS = 64
"""Hexadecimal ones, of a digest."""
DEPTH_MAX: Final = 200
"""Arrays and objects in one another. Druid's rows and our documents have about ten.

How many can be read, written, compared or shown depends on who does it, and on how deep the stack
is by then: what one of them takes ends another one.
"""
CONTAINERS_MAX: Final = 250_000
"""Arrays and objects of one document; a receipt of a hundred thousand files has 200,000.

An empty one takes two bytes of a text, some sixty in memory, and more than a thousand while it is
checked: a small file could fill the memory of a process.
"""
VALUES_MAX: Final = 16 * CONTAINERS_MAX
"""Values of one document; whatever holds more has sixteen in each object."""
LIST_FACTOR: Final = 2
"""How many times as many values a list of a target's gaps may have: half a million gaps."""
_TEXTS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
"""Texts of a JSON document, each of them found by one pass even if the last has no end."""


def _within_years(time: datetime) -> datetime:
    if time.tzinfo is None:
        raise ValueError("it is a time without a zone")
    if not FIRST_YEAR <= time.year <= LAST_YEAR:
        raise ValueError(f"it is not between the years {FIRST_YEAR} and {LAST_YEAR}")
    return time.astimezone(UTC)


def _name(text: str) -> str:
    if text in {".", ".."}:
        raise ValueError("it is no name, but that of a folder")
    if not is_name(text):
        raise ValueError("it is no name: something printable without a slash")
    return text


def is_name(text: str) -> bool:
    """Return whether a text can be a part of a file's name, as a `Name` is."""
    return (
        text.isprintable()
        and 0 < len(text) <= NAME_CHARACTERS_MAX
        and "/" not in text
        and text not in {".", ".."}
    )


def _relative_name(text: str) -> str:
    if text.startswith("/") or "\0" in text or ".." in text.split("/"):
        raise ValueError("it is no name below a folder")
    return text


def _number_of(text: object) -> int:
    if not isinstance(text, str) or len(text) != DIGITS or not text.isalnum():
        raise ValueError(f"it does not have {DIGITS} hexadecimal digits")
    return int(text, 16)


Time: TypeAlias = Annotated[datetime, AfterValidator(_within_years)]
"""Written with its zone."""
Name: TypeAlias = Annotated[str, AfterValidator(_name)]
"""A text that can be a part of a file's name."""
RelativeName: TypeAlias = Annotated[str, AfterValidator(_relative_name)]
"""Name of a file below a folder, which cannot lead outside it; '' for the folder itself."""
NATURAL = Field(ge=0, le=INT_MAX)
"""Range of whole numbers: counts, sizes and offsets."""
Natural: TypeAlias = Annotated[int, NATURAL]
NotNegative: TypeAlias = Annotated[float, Field(ge=0, le=INT_MAX)]
HEXADECIMAL = BeforeValidator(_number_of)
"""Reads a number that is written as a hexadecimal digest."""


def natural(number: float) -> int:
    """Return a count, or a sum of them, as documents and 64 bits hold it: the largest for more."""
    return min(int(number), INT_MAX)


@dataclass(slots=True)
class Shape(Generic[_T]):
    """What one kind of document must be."""

    type_: type[_T]
    """A dataclass."""
    hint: str
    """Advice for the operator when a document of this kind cannot be read."""
    formats: frozenset[int] | None = frozenset({1})
    """The numbers that this release reads; None: this kind has none."""
    closed: bool = False
    """Whether a member that the dataclass does not name is refused: else it is left alone."""
    is_list: bool = False
    """Whether it lists something that grows with a target, so that it may have more values."""
    _validator: SchemaValidator | None = field(default=None, init=False)
    _names: frozenset[str] | None = field(default=None, init=False)

    def read(self, name: str, data: bytes) -> _T:
        """Return what a document holds.

        Args:
            name: Name of its file, for error messages.
            data: The file.

        Raises:
            CorruptionError: it is no JSON object, of a format that this release does not know, or
                a member is missing or of another type; the message names file and member.
        """
        try:
            return self.checked(parsed(data, self.formats, is_list=self.is_list))
        except ValueError as exc:
            raise self.unreadable(name, exc) from exc

    def checked(self, found: Mapping[str, Any]) -> _T:
        """Return what a parsed document, or a part of one, holds.

        Raises:
            ValueError: a member is missing or wrong; the message names it.
        """
        if self.closed and (unknown := found.keys() - self._members()):
            raise ValueError(f"field {min(unknown)!r} is unknown to this release")
        if self._validator is None:  # made when it is needed: it takes milliseconds
            self._validator = first_fault_validator(self.type_)
        try:
            checked: _T = self._validator.validate_json(orjson.dumps(found), strict=True)
        except ValidationError as exc:
            raise ValueError(_fault(exc.errors(include_url=False, include_input=False)[0])) from exc
        return checked

    def _members(self) -> frozenset[str]:
        if self._names is None:  # looked up once: it takes as long as to check a checkpoint
            self._names = frozenset(get_type_hints(self.type_))
        return self._names

    def unreadable(self, name: str, why: object) -> CorruptionError:
        """Return the error that says why a document cannot be read."""
        return CorruptionError(f"{name} cannot be read: {why}", hint=self.hint)


def parsed(data: bytes, formats: frozenset[int] | None, *, is_list: bool = False) -> dict[str, Any]:
    """Return the JSON object that a document is, whatever its members.

    Args:
        data: The document.
        formats: The numbers of formats that are known; None: it has none.
        is_list: Whether it may have the values of a list that grows with a target.

    Raises:
        ValueError: it is none, has too many values, is nested too deeply, or its format is none of
            these.
    """
    refuse_many_values(data, factor=LIST_FACTOR if is_list else 1)
    found = orjson.loads(data)
    if is_deep(found, data.count(b"[") + data.count(b"{")):
        raise ValueError(f"it is nested more than {DEPTH_MAX} levels deep")
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - like all that is wrong with it
    if formats is not None:
        number = found.get("format")
        if type(number) is not int or number not in formats:
            raise ValueError(
                "it has no format" if number is None else f"it has format {number!r:.20}"
            )
    return found


def refuse_many_values(data: bytes, *, factor: int = 1) -> None:
    """Refuse a JSON text with more values than one that we or a server of ours would write.

    Raises:
        ValueError: it has too many; nothing of it was read.
    """
    if len(data) <= CONTAINERS_MAX:  # too short for so many
        return
    if _has_many_values(data, factor) and _has_many_values(_TEXTS.sub(b"", data), factor):
        raise ValueError(f"it has more than {factor * VALUES_MAX} values, or objects than a 16th")


def _has_many_values(data: bytes, factor: int) -> bool:
    containers = data.count(b"[") + data.count(b"{")
    values = containers + data.count(b",")
    return containers > factor * CONTAINERS_MAX or values > factor * VALUES_MAX


def first_fault_validator(type_: Any) -> SchemaValidator:
    """Return what checks a JSON text against a type, and ends with the first fault of a list.

    By default each element that is wrong takes a kilobyte for a message that no operator reads.
    """
    return SchemaValidator(_fail_fast(TypeAdapter(type_).core_schema))


def _fail_fast(schema: Any) -> CoreSchema | Any:
    match schema:
        case dict():
            found = {name: _fail_fast(value) for name, value in schema.items()}
            is_sequence = found.get("type") in {"list", "tuple", "set", "frozenset"}
            return {**found, "fail_fast": True} if is_sequence else found
        case list() | tuple():
            return type(schema)(map(_fail_fast, schema))
        case _:
            return schema


def is_deep(value: Any, brackets: int) -> bool:
    """Return whether more than `DEPTH_MAX` arrays and objects lie in one another.

    Args:
        value: What was read.
        brackets: How many opening brackets and braces its text has; most values have so few that
            they need not be looked into.
    """
    if brackets <= DEPTH_MAX:
        return False
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [inner for one in level for inner in _nested_in(one)]
        if not level:
            return False
    return any(isinstance(one, dict | list) for one in level)


def _nested_in(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (one for one in inner if isinstance(one, dict | list))


def written(members: Mapping[str, Any], format_: int | None = 1) -> bytes:
    """Return a document: the same members in the same order are the same bytes."""
    return orjson.dumps(dict(members) if format_ is None else {"format": format_, **members})


@lru_cache(maxsize=64)
def time_text(time: datetime) -> str:
    """Return a time as it stands in events, histories and most documents."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _fault(error: ErrorDetails) -> str:
    place = ".".join(map(str, error["loc"])) or "it"
    match error["type"]:
        case "missing" | "missing_argument" | "missing_keyword_only_argument":
            return f"field {place!r} is missing"
        case "value_error":
            return f"field {place!r}: {error['msg'].removeprefix('Value error, ')}"
        case _:
            return f"field {place!r}: {error['msg'][:1].lower()}{error['msg'][1:]}"
