"""What the messages of a change stream say of Druid's rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from replicator.adapters.postgresql.pgoutput import (
    UNCHANGED,
    Delete,
    Insert,
    Relation,
    Truncate,
    Update,
    Value,
)
from replicator.adapters.postgresql.sql import Shape
from replicator.errors import BrokenStreamError
from replicator.model.row import RowKey
from replicator.model.stream import RowChange, RowPut

_BOOLEANS: Final[Mapping[str, str]] = {"t": "true", "f": "false"}
"""What a cast to text makes of them."""


class RowChanges:
    """Turns messages into changes of rows; one for each read."""

    def __init__(self, shapes: Mapping[int, Shape]) -> None:
        """Take the tables by their oids; no other table may occur."""
        self._shapes = shapes
        self._columns: dict[int, tuple[str, ...]] = {}

    def describe(self, relation: Relation) -> None:
        """Take what a table looks like from now on.

        Raises:
            BrokenStreamError: it has other columns than the table has now.
        """
        shape = self._shape(relation.oid)
        if set(relation.columns) != shape.types.keys():
            raise BrokenStreamError(f"{shape.relation} had other columns for a while")
        self._columns[relation.oid] = relation.columns

    def changes(self, message: Insert | Update | Delete | Truncate) -> Iterator[RowChange]:
        """Yield what a message changes.

        Raises:
            BrokenStreamError: that cannot be told.
        """
        match message:
            case Truncate(oids=oids):
                names = ", ".join(sorted(self._shape(oid).relation for oid in oids))
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
        shape, table = self._shape(oid), self._shape(oid).table
        told = dict(zip(self._columns[oid], values, strict=True))
        unchanged = frozenset(
            name for name, value in told.items() if value is UNCHANGED and name not in table.local
        )
        columns = {
            name: _typed(shape.types[name], told[name])
            for name in shape.known
            if name not in unchanged
        }
        if table.absent is not None:
            for name in table.in_bytes:
                if name in columns and columns[name] is None:
                    columns[name] = table.absent
        extras = {
            name: _as_text(shape.types[name], value)
            for name in shape.extras
            if isinstance(value := told[name], bytes)
        }
        return RowPut(kind=table.kind, columns=columns, extras=extras, unchanged=unchanged)

    def _key(self, oid: int, old: Sequence[Value], what: str) -> RowKey:
        shape, table = self._shape(oid), self._shape(oid).table
        if table.newest_by:
            raise BrokenStreamError(
                f"a row of {shape.relation} was {what}: an older one may count again"
            )
        told = dict(zip(self._columns[oid], old, strict=True))
        key = {name: value for name in table.key if isinstance(value := told[name], bytes)}
        if len(key) < len(table.key):
            raise BrokenStreamError(
                f"a row of {shape.relation} was {what}, and its replica identity does not name it"
            )
        return RowKey(
            table.kind, table.key_text({name: value.decode() for name, value in key.items()})
        )

    def _shape(self, oid: int) -> Shape:
        if (shape := self._shapes.get(oid)) is None:
            raise BrokenStreamError(f"a table with the oid {oid} had the place of one of Druid's")
        return shape


def _typed(type_: str, value: Value) -> Any:
    if not isinstance(value, bytes):
        return None
    text = value.decode()
    if (reading := _READ.get(type_)) is not None:
        return reading(text)
    return text


def _as_text(type_: str, value: bytes) -> str:
    text = value.decode()
    return _BOOLEANS[text] if type_ == "boolean" else text


_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "boolean": lambda text: text == "t",
    "smallint": int,
    "integer": int,
    "bigint": int,
    "bytea": lambda text: bytes.fromhex(text.removeprefix("\\x")),
}
