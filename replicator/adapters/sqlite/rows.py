"""Reads rows of the replicator's own files strictly: damaged or foreign rows are named."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import TypeVar

from replicator.errors import CorruptionError
from replicator.model.document import Shape

_Row = TypeVar("_Row")


def shape_of(type_: type[_Row]) -> Shape[_Row]:
    """Return the shape of rows that become a dataclass."""
    return Shape(type_, "", formats=None)


class DamagedRowError(Exception):
    """A row does not fit its table; the reader of the file adds the file's name."""


def row_as(
    shape: Shape[_Row], members: Callable[[], Mapping[str, object]], *, table: str, id_: object
) -> _Row:
    """Return a row as its dataclass.

    Args:
        shape: Shape that the row must have.
        members: Returns the row's members as in JSON: times as texts with their zone.
        table: Table of the row.
        id_: Id of the row in messages.

    Raises:
        DamagedRowError: a member is missing, of another type, or a time without a zone.
    """
    try:
        found = shape.checked(members())
    except (ValueError, TypeError) as exc:
        raise DamagedRowError(f"row {id_!r:.80} of {table}: {exc}") from exc
    if (naive := next(_naive(found), None)) is not None:
        raise DamagedRowError(f"row {id_!r:.80} of {table}: {naive} is a time without a zone")
    return found


def flag(value: object) -> bool | None:
    """Return the flag that 0 or 1 stands for; None for anything else."""
    return {0: False, 1: True}.get(value) if type(value) is int else None


def damage(path: object, damaged: DamagedRowError) -> CorruptionError:
    """Return the error of a file with such a row."""
    return CorruptionError(
        f"{path}: {damaged} cannot be read",
        hint="take the file from a copy, or remove that row with `sqlite3` while nothing runs",
    )


def _naive(found: object) -> Iterator[str]:
    if is_dataclass(found):
        for one in fields(found):
            value = getattr(found, one.name)
            if isinstance(value, datetime) and value.tzinfo is None:
                yield one.name
