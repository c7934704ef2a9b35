"""A bucket that cannot be asked, because a secret or a file that its settings name is not there."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import NoReturn

from replicator.adapters.bucket.bucket import (
    PAGE_OBJECTS_MAX,
    Begun,
    Listed,
    Stat,
    Writer,
)
from replicator.errors import ConfigError
from replicator.ports import Effective, Piece


class BucketOutOfReach:
    """A `Bucket` whose calls all raise the same ConfigError.

    So wrong settings of one target hide no other target; they count like a server that is away.

    Args:
        failure: Why no client of the bucket could be made.
    """

    def __init__(self, failure: ConfigError) -> None:
        self.name = "a bucket out of reach"
        self.keeps_metadata = False
        self._failure = failure

    async def stat(self, key: str) -> Stat | None:
        self._refuse()

    async def begin(self, key: str) -> Begun | None:
        self._refuse()

    def pages(
        self, prefix: str, *, page_objects_max: int = PAGE_OBJECTS_MAX
    ) -> AsyncIterator[Sequence[Listed]]:
        self._refuse()

    def read(
        self, key: str, *, tag: str, start: int, end: int, piece_bytes: int
    ) -> AsyncIterator[Piece]:
        self._refuse()

    async def create(
        self,
        key: str,
        data: Piece,
        metadata: Mapping[str, str] | None = None,
        *,
        retained: bool = True,
    ) -> bool:
        self._refuse()

    async def replace(self, key: str, data: Piece, *, retained: bool = False) -> None:
        self._refuse()

    async def writer(self, key: str, *, part_bytes: int) -> Writer:
        self._refuse()

    async def delete(self, key: str) -> None:
        self._refuse()

    async def clear(self, key: str) -> None:
        self._refuse()

    async def extend(self, key: str, until: datetime) -> bool:
        self._refuse()

    async def effective(self) -> Sequence[Effective]:
        """Refuse to return the settings in force: they are not complete."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        """Raise a new error each time: one instance would gather the tracebacks of all calls."""
        raise type(self._failure)(str(self._failure), hint=self._failure.hint)
