"""Handles of the rows that a poll found, which a first cut has of every row of the source."""

from collections import deque
from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replicator.model.inventory import pages


class Handles:
    """Takes handles as a scan finds them, and gives them away again a bounded number at a time."""

    def __init__(self) -> None:
        self._parts: deque[NDArray[Any]] = deque()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, handles: NDArray[Any]) -> None:
        """Take some more; a copy is kept."""
        self._parts.append(pages.kept(handles))
        self._count += len(handles)

    def drain(self, rows_max: int) -> Generator[NDArray[Any]]:
        """Yield all of them in batches; what was yielded frees its memory."""
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
