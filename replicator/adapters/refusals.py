"""Refusals of a metadata store, in the same words for every database.

Names of tables and columns are given as they are typed in that database.
"""

from collections.abc import Sequence

from replicator.errors import (
    ConfigError,
    FencedError,
    LargeRowsError,
    NotFoundError,
    RefusedError,
)
from replicator.model.event import Epoch
from replicator.ports import FETCHED_BYTES_MAX, ROW_BYTES_MAX


def no_druid(database: str) -> NotFoundError:
    """Return the error of a database in which no Druid has made its tables."""
    return NotFoundError(f"{database}: there are no tables of a Druid")


def other_prefix(database: str, prefix: str) -> ConfigError:
    """Return the error when Druid's tables are to be made with another prefix."""
    return ConfigError(
        f"{database}: only tables that begin with {prefix} can be made",
        hint="start the target's Coordinator on the empty database once, it makes them",
    )


def other_store(database: str, source: str, store: str) -> RefusedError:
    """Return the error of a writer whose bytes are not where those of the rows are."""
    return RefusedError(
        f"{database}: the bytes of source {source!r} are in another store than {store}, of another"
        " target or another place"
    )


def older_epoch(database: str, source: str, epoch: Epoch, newest: object) -> FencedError:
    """Return the error of a writer that is not the newest; `newest` None or 0: there is none."""
    return FencedError(
        f"{database}: epoch {epoch} of source {source!r} is not the newest"
        f" ({newest or 'no process has acquired it'})"
    )


def no_table(database: str, table: str, hint: str) -> ConfigError:
    """Return the error of a missing table that every Druid has; `hint`: where it was looked for."""
    return ConfigError(f"{database}: there is no table {table}", hint=hint)


def no_table_for(database: str, table: str, key: str) -> ConfigError:
    """Return the error of a row whose table only some releases or features of Druid have."""
    return ConfigError(
        f"{database}: there is no table {table} for {key!r}",
        hint="turn the feature on in the target's Druid, or exclude the rows",
    )


def no_value(table: str) -> ConfigError:
    """Return the error of a row without a key or a payload, which Druid's tables cannot have."""
    return ConfigError(
        f"{table}: a row has no key or no payload, so the table is none as Druid makes it",
        hint="remove that row, then make the columns of the key and the payload NOT NULL again",
    )


def refuse_large(table: str, rows: int, size_bytes: int, key: str) -> None:
    """Refuse rows that are too large to be read at once.

    Args:
        table: The table.
        rows: How many rows they are.
        size_bytes: Size of all of them together.
        key: Key of one of them.

    Raises:
        LargeRowsError: they are several.
        ConfigError: it is a single row, which the message names.
    """
    if rows > 1 and size_bytes > FETCHED_BYTES_MAX:
        raise LargeRowsError(f"{table}: {rows} rows have {size_bytes} bytes")
    if rows == 1 and size_bytes > ROW_BYTES_MAX:
        raise ConfigError(
            f"{table}: row {key!r:.200} has {size_bytes} bytes; at most {ROW_BYTES_MAX} are read",
            hint="Druid writes no such row: remove it, or make it smaller",
        )


def long_key(table: str, key: str) -> ConfigError:
    """Return the error of a row whose key is longer than any of Druid's."""
    return ConfigError(
        f"{table}: a key has {len(key)} characters, and Druid's have at most 255: {key!r:.100}",
        hint="remove that row: Druid's own tables do not take it",
    )


def no_text(table: str, why: UnicodeDecodeError) -> ConfigError:
    """Return the error of a row with bytes where Druid has a text."""
    return ConfigError(
        f"{table}: a row has bytes where Druid has a text: {why}",
        hint="compare the types of the table's columns with those that Druid makes, and find the"
        " row by its value",
    )


def no_columns(database: str, table: str, columns: Sequence[str], also: str = "") -> ConfigError:
    """Return the error of a table that lacks columns; `also` is one more thing to check."""
    return ConfigError(
        f"{database}: {table} has no {columns_text(columns)}",
        hint="every Druid release from 25 on has it: check that the table is Druid's own" + also,
    )


def no_column_for(database: str, table: str, column: str, key: str, remedy: str) -> ConfigError:
    """Return the error of a row with a value for which the table has no column.

    Args:
        database: Name of the database in messages.
        table: The table.
        column: The missing column.
        key: The row's key.
        remedy: The statement that adds the column in this database.
    """
    return ConfigError(
        f"{database}: {table} has no column {column}, which {key!r} has a value for",
        hint=f"bring the target's Druid to the source's release, or {remedy}",
    )


def columns_text(columns: Sequence[str]) -> str:
    """Return `column "a"`, or `columns "a", "b"`."""
    return f"column{'s' if len(columns) > 1 else ''} {', '.join(columns)}"
