"""One of Druid's tables as one database has it, and the role of each of its columns."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from replicator.model.row import Table


@dataclass(frozen=True, kw_only=True)
class FoundTable:
    """A table as the catalogue of any database describes it."""

    table: Table
    name: str
    """Name in the database's catalogue."""
    types: Mapping[str, str]
    """SQL type of each column."""

    @cached_property
    def extras(self) -> tuple[str, ...]:
        """Columns that this release does not know, in the order that the fingerprint needs."""
        return tuple(sorted(self.types.keys() - set(self.table.columns) - self.table.local))

    @cached_property
    def known(self) -> tuple[str, ...]:
        """Columns that fill a row's fields, in the order of the fields."""
        return tuple(name for name in self.table.columns if name in self.types)

    @cached_property
    def compared(self) -> frozenset[str]:
        """Columns by which a target's rows are compared with mapped ones."""
        return frozenset(self.types) - self.table.local - self.table.target_owned

    @cached_property
    def written_known(self) -> tuple[str, ...]:
        """Columns that an upsert takes from a row's fields."""
        return tuple(name for name in self.known if name not in self.table.target_owned)

    @cached_property
    def written(self) -> tuple[str, ...]:
        """Columns that an upsert takes from a row, unknown ones last."""
        return self.written_known + self.extras
