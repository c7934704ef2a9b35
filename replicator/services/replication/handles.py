"""Handles of the rows that a poll found; in a first cut these are all rows of the source."""

from collections import deque
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicator.model.inventory import pages


class Handles:
    """Takes handles as a scan finds them, and returns them in bounded numbers."""

    def __init__(self) -> None:
        self._parts: deque[NDArray[Any]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, handles: NDArray[Any]) -> None:
        """Take more handles; a copy is kept."""
        self._parts.append(pages.kept(handles))
        self._count += len(handles)

    def some(self, rows_max: int) -> Iterator[NDArray[Any]]:
        """Yield all handles in batches; they stay."""
        for part in self._parts:
            for start in range(0, len(part), rows_max):
                yield part[start : start + rows_max]

    def drain(self, rows_max: int) -> Generator[NDArray[Any]]:
        """Yield all handles in batches; the memory of yielded ones is freed."""
        while self._count:
            yield self._next(rows_max)

    def _next(self, rows_max: int) -> NDArray[Any]:
        taken: list[NDArray[Any]] = []
        wanted = min(rows_max, self._count)
        self._count -= wanted
        while wanted:
            part = self._parts.popleft()
            taken.append(part[:wanted])
            if len(part) > wanted:
                self._parts.appendleft(part[wanted:])
            wanted -= len(taken[-1])
        return np.concatenate(taken)
