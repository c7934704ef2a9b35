"""Finds out which release's tables a new target needs, from a source or from a history."""

from collections.abc import AsyncIterator

import numpy as np

from replicator.model.druid.druid_tables import TableRelease, tables_for
from replicator.model.event import Offset
from replicator.model.row import Kind, Row, Segment
from replicator.ports import Chunk, MetadataReader
from replicator.services.history.reader import History

TELLING = (Kind.INDEXING_STATE, Kind.SEGMENT_SCHEMA)
"""Kinds of rows that not every release has."""


async def tables_of_source(metadata: MetadataReader) -> TableRelease | None:
    """Return which tables a source has, judged by their presence and by one of its segments.

    Raises:
        TransientError, ConfigError: the source cannot be read.
    """
    handles: list[np.ndarray] = []

    def visit(chunk: Chunk) -> None:
        if not handles:
            handles.append(chunk.handles[:1])

    async with metadata.snapshot() as snapshot:
        await snapshot.scan(Kind.SEGMENT, visit)
        rows = [row for part in handles for row in await snapshot.fetch(Kind.SEGMENT, part)]
        kinds = snapshot.kinds
    segment = next((row for row in rows if isinstance(row, Segment)), None)
    return tables_for(kinds, segment, "the source has them")


async def tables_of_history(history: History, until: Offset, name: str) -> TableRelease | None:
    """Return which tables the rows of a history need; `name` is the target that keeps it.

    Raises:
        CorruptionError: the history cannot be read.
    """
    kinds = [kind for kind in TELLING if await _first(history.rows(kind, until)) is not None]
    segment = await _first(history.rows(Kind.SEGMENT, until))
    found = segment if isinstance(segment, Segment) else None
    return tables_for(kinds, found, f"the rows in the store of {name} need them")


async def _first(rows: AsyncIterator[Row]) -> Row | None:
    async for row in rows:
        return row
    return None
