"""Rows and keys as a writer of a metadata store takes them: a kind at a time, bounded."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeVar

from replicator.model.row import TABLES, Kind, Row, RowKey, key_of

_Value = TypeVar("_Value")


def batches(rows: Sequence[Row], *, rows_max: int, bytes_max: int) -> Generator[list[Row]]:
    """Yield rows of one kind at a time, the last word on each key only, in bounded batches.

    `bytes_max` counts payloads; one that is larger goes alone.
    """
    latest_by_kind: dict[Kind, dict[str, Row]] = {}
    for row in rows:
        kind, key = key_of(row)
        latest_by_kind.setdefault(kind, {})[key] = row
    for kind, latest in latest_by_kind.items():
        batch: list[Row] = []
        size = 0
        for row in latest.values():
            payload_bytes = len(getattr(row, TABLES[kind].payload))
            if batch and (len(batch) == rows_max or size + payload_bytes > bytes_max):
                yield batch
                batch, size = [], 0
            batch.append(row)
            size += payload_bytes
        yield batch


def by_kind(keys: Sequence[RowKey]) -> Mapping[Kind, Sequence[str]]:
    """Return the names of some keys by the kind of their rows."""
    found: dict[Kind, list[str]] = {}
    for kind, key in keys:
        found.setdefault(kind, []).append(key)
    return found


def slices(values: Iterable[_Value], count: int) -> Generator[list[_Value]]:
    """Yield some values at a time, at most `count`."""
    rest = iter(values)
    while batch := list(islice(rest, count)):
        yield batch
