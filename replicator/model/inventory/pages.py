"""Columns in pages of their own, which go back to the system when no reference is left.

An allocator keeps the room of large arrays for later, in pieces that the next array does not fit
into: after some cuts a ledger took three times its size, and what led back to the rows of a first
cut took 25 bytes a row for as long as the process lived.
"""

from __future__ import annotations

from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import TYPE_CHECKING, Any

from replicator.model.arrays import np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def columns(rows: int, *kinds: np.dtype[Any]) -> tuple[NDArray[Any], ...]:
    """Return one column of zeros of each type, all of them in the same pages."""
    pages = mmap(
        -1, max(1, rows * sum(kind.itemsize for kind in kinds)), flags=MAP_PRIVATE | MAP_ANONYMOUS
    )
    made: list[NDArray[Any]] = []
    start = 0
    for kind in kinds:
        made.append(np.frombuffer(pages, kind, rows, offset=start))
        start += rows * kind.itemsize
    return tuple(made)


def kept(column: NDArray[Any]) -> NDArray[Any]:
    """Return a copy of a column in pages of its own."""
    (copy,) = columns(len(column), column.dtype)
    copy[:] = column
    return copy
