"""Turns messages of a change stream into changes of Druid's rows."""

from binascii import unhexlify
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from replicator.adapters.postgresql.sql import PADDED, Shape
from replicator.adapters.postgresql.stream.pgoutput import (
    UNCHANGED,
    Delete,
    Insert,
    Relation,
    Truncate,
    Update,
    Value,
)
from replicator.errors import BrokenStreamError, CorruptionError
from replicator.model.row import Kind, RowKey
from replicator.model.stream import RowChange, RowPut


class RowChanges:
    """Turns the messages of one read into changes of rows."""

    def __init__(self, shapes: Mapping[int, Shape]) -> None:
        """Take the tables by oid; no other table may occur."""
        self._shapes = shapes
        self._plans: dict[int, _TablePlan] = {}

    def describe(self, relation: Relation) -> None:
        """Take the columns that a table has from now on.

        Raises:
            BrokenStreamError: they differ from the table's present columns.
        """
        shape = self._shape(relation.oid)
        if set(relation.columns) != shape.types.keys():
            raise BrokenStreamError(f"{shape.relation} had other columns for a while")
        self._plans[relation.oid] = _plan_of(shape, relation.columns)

    def changes(self, message: Insert | Update | Delete | Truncate) -> Iterator[RowChange]:
        """Yield the changes of a message.

        Raises:
            BrokenStreamError: the message does not tell them, or cannot be read: a poll asks for
                texts in UTF-8, while the stream has them in the database's own encoding.
        """
        try:
            yield from self._changes(message)
        except (ValueError, KeyError) as exc:
            raise BrokenStreamError(f"a row of the change stream cannot be read: {exc!r}") from exc

    def _changes(self, message: Insert | Update | Delete | Truncate) -> Iterator[RowChange]:
        match message:
            case Truncate(oids=oids):
                names = ", ".join(sorted(self._shape(oid).relation for oid in oids))
                # The message does not name the rows, and a poll finds which are gone.
                raise BrokenStreamError(f"{names} was emptied by TRUNCATE")
            case Insert(oid=oid, new=new):
                yield self._put(oid, new)
            case Update():
                yield self._updated(message)
            case Delete(oid=oid, old=old):
                yield self._key(oid, old, "deleted")

    def _updated(self, message: Update) -> RowPut:
        shape = self._shape(message.oid)
        if shape.table.newest_by:
            raise BrokenStreamError(f"a row of {shape.relation} was updated, where rows are added")
        new: Sequence[Value] = message.new
        former = None
        if message.old is not None:
            former = self._key(message.oid, message.old, "updated").key
        # With REPLICA IDENTITY FULL the former row has each value that the new one leaves out.
        if message.old is not None and message.is_old_whole:
            new = [
                was if now is UNCHANGED else now
                for was, now in zip(message.old, message.new, strict=True)
            ]
        put = self._put(message.oid, new)
        if former is None or put.unchanged.intersection(shape.table.key):
            return put
        if shape.table.key_text(put.columns) == former:
            return put
        return replace(put, former_key=former)

    def _put(self, oid: int, values: Sequence[Value]) -> RowPut:
        plan = self._plan(oid, values)
        columns, extras, unchanged = dict[str, Any](), dict[str, str](), list[str]()
        for at, name, read, absent, is_needed in plan.known:
            value = values[at]
            if isinstance(value, bytes):
                columns[name] = read(value)
            elif value is None:
                if is_needed and absent is None:
                    raise ValueError(f"{name} is NULL")  # a poll names the row
                columns[name] = absent
            else:
                unchanged.append(name)
        for at, name, read in plan.extras:
            value = values[at]
            if isinstance(value, bytes):
                extras[name] = read(value)
            elif value is UNCHANGED:
                unchanged.append(name)
        return RowPut(
            kind=plan.kind, columns=columns, extras=extras, unchanged=frozenset(unchanged)
        )

    def _key(self, oid: int, old: Sequence[Value], what: str) -> RowKey:
        shape, table = self._shape(oid), self._shape(oid).table
        if table.newest_by:
            raise BrokenStreamError(
                f"a row of {shape.relation} was {what}: an older one may count again"
            )
        values = dict(zip(self._plan(oid, old).columns, old, strict=True))
        key = {name: value for name in table.key if isinstance(value := values[name], bytes)}
        if len(key) < len(table.key):
            raise BrokenStreamError(
                f"a row of {shape.relation} was {what}, and its replica identity does not name it"
            )
        return RowKey(
            table.kind, table.key_text({name: value.decode() for name, value in key.items()})
        )

    def _plan(self, oid: int, values: Sequence[Value]) -> "_TablePlan":
        plan = self._plans[oid]
        if len(values) != len(plan.columns):
            raise CorruptionError("a row of the change stream has other columns than its table")
        return plan

    def _shape(self, oid: int) -> Shape:
        if (shape := self._shapes.get(oid)) is None:
            raise BrokenStreamError(f"a table with the oid {oid} had the place of one of Druid's")
        return shape


class _FieldColumn(NamedTuple):
    """A column that fills a field of the row."""

    at: int
    name: str
    read: Callable[[bytes], Any]
    absent: bytes | None
    """Value that stands for NULL."""
    is_needed: bool
    """Whether each row of Druid's has a value."""


class _ExtraColumn(NamedTuple):
    """A column that this release does not know."""

    at: int
    name: str
    read: Callable[[bytes], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _TablePlan:
    """How the values of one table's rows are read; made once, because each row has a dozen."""

    kind: Kind
    columns: tuple[str, ...]
    known: tuple[_FieldColumn, ...]
    extras: tuple[_ExtraColumn, ...]


def _plan_of(shape: Shape, columns: tuple[str, ...]) -> _TablePlan:
    table, indexes = shape.table, {name: at for at, name in enumerate(columns)}
    return _TablePlan(
        kind=table.kind,
        columns=columns,
        known=tuple(
            _FieldColumn(
                indexes[name],
                name,
                _READ.get(shape.types[name], bytes.decode),
                table.absent if name in table.in_bytes else None,
                name in table.required,
            )
            for name in shape.known
        ),
        extras=tuple(
            _ExtraColumn(indexes[name], name, _TEXT.get(shape.types[name], bytes.decode))
            for name in shape.extras
        ),
    )


_READ: Final[Mapping[str, Callable[[bytes], Any]]] = {
    "boolean": lambda value: value == b"t",
    "smallint": int,
    "integer": int,
    "bigint": int,
    "bytea": lambda value: unhexlify(value[2:]),
    PADDED: lambda value: value.decode().rstrip(" "),
}
"""Functions that turn a value's text form into a field's value; all other types are texts."""
_TEXT: Final[Mapping[str, Callable[[bytes], str]]] = {
    "boolean": lambda value: "true" if value == b"t" else "false",
    PADDED: lambda value: value.decode().rstrip(" "),
}
"""Functions that return the text of a cast, for types whose text form differs from it."""
