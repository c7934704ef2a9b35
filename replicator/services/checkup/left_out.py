"""Rows of a source in tables that not every Druid makes, and that a target may lack."""

from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from replicator.model.row import REPLICATED, TABLES, Kind, key_of
from replicator.ports import Chunk, SourceReader, fetched
from replicator.services.checkup.finding import Finding

NAMED_MAX = 5
"""Number of rows that a finding names."""
OPTIONAL = frozenset(kind for kind in REPLICATED if not TABLES[kind].always_there)


class OptionalRows(NamedTuple):
    """The rows of one table."""

    rows: int
    names: tuple[str, ...]
    """Some of their names; none of rows that only Druid itself knows by a fingerprint."""


async def optional_rows(source: SourceReader) -> dict[Kind, OptionalRows]:
    """Return a source's rows in the tables that not every Druid makes.

    Raises:
        TransientError, ConfigError: the source cannot be read.
    """
    found: dict[Kind, OptionalRows] = {}
    async with source.snapshot() as snapshot:
        for kind in sorted(OPTIONAL & snapshot.kinds):
            chunks: list[Chunk] = []
            await snapshot.scan(kind, chunks.append)
            if not (count := sum(len(chunk.keys) for chunk in chunks)):
                continue
            names: tuple[str, ...] = ()
            if kind is Kind.TABLE_DEFINITION:
                some = fetched(snapshot, kind, chunks[0].handles[:NAMED_MAX])
                names = tuple(sorted([key_of(row).key async for rows in some for row in rows]))
            found[kind] = OptionalRows(count, names)
    return found


def left_out(
    what: str, rows: Mapping[Kind, OptionalRows], kinds: Collection[Kind]
) -> Iterable[Finding]:
    """Yield the rows of a source for which a target with these kinds has no table."""
    for kind, (count, names) in rows.items():
        if kind in kinds:
            continue
        named = f" ({', '.join(names)}{', …' if count > len(names) else ''})" if names else ""
        yield Finding(
            what=what,
            good=True,
            note=True,
            detail=f"it has no table {TABLES[kind].name}, so the source's {count} rows of that"
            f" table{named} are left out",
            hint="turn the feature on in the target's Druid, which makes the table, then"
            " `replicator repair TARGET` writes them",
        )
