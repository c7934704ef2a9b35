"""Our own files at a target."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol


class Area(Protocol):
    """Small files of our own beside a target's bytes, `_replicator/` below its root.

    Names are relative, with `/` between their parts. Every call raises TransientError when the
    storage cannot be reached, and ConfigError when it denies access.
    """

    async def names(self, prefix: str) -> Sequence[str]:
        """Return the names of all files that begin with `prefix`, sorted."""
        ...

    async def get(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            NotFoundError: there is none.
        """
        ...

    async def create(self, name: str, data: bytes) -> bool:
        """Store a file whole and durably; return False, and change nothing, when there is one.

        Of two that create the same name at once, one gets True.
        """
        ...

    async def replace(self, name: str, data: bytes) -> None:
        """Store a file whole and durably, whatever was there."""
        ...

    async def delete(self, name: str) -> None:
        """Remove a file; an absent one is no error."""
        ...

    async def extend(self, name: str, until: datetime) -> None:
        """Keep a file from being removed by anybody until then, as `SegmentRemover.extend` does.

        Raises:
            NotFoundError: there is none, and the storage has locks.
        """
        ...
