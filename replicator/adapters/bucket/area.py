"""The replicator's own files at a target in a bucket, below `<prefix>/_replicator/`."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from replicator.adapters.bucket.bucket import MIB, Bucket, listed
from replicator.errors import MissingObjectError, NotFoundError
from replicator.ports import DOCUMENT_BYTES_MAX, too_large

PIECE_BYTES = 8 * MIB


class ObjectArea:
    """An `Area` over the calls of a `Bucket`.

    Args:
        bucket: The bucket.
        folder: Beginning of all keys, without a slash at the end.
        prove: Awaited before each write; raises if the bucket does not do what is asked of it,
            such as to replace nothing. It tries the bucket once.
    """

    def __init__(
        self, bucket: Bucket, folder: str, *, prove: Callable[[], Awaitable[None]]
    ) -> None:
        self._bucket, self._folder, self._prove = bucket, f"{folder}/", prove

    async def names(self, prefix: str) -> Sequence[str]:
        within = self._folder + prefix.rpartition("/")[0]
        found = await listed(self._bucket, within.rstrip("/"))
        names = [one.key.removeprefix(self._folder) for one in found]
        return [name for name in names if name.startswith(prefix)]

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        key = self._folder + name
        try:
            if (stat := await self._bucket.stat(key)) is not None:
                if stat.size_bytes > bytes_max:
                    raise too_large(f"{self._bucket.name}: {key}", stat.size_bytes, bytes_max)
                read = self._bucket.read(
                    key, tag=stat.tag, start=0, end=stat.size_bytes, piece_bytes=PIECE_BYTES
                )
                return b"".join([piece async for piece in read])
        except MissingObjectError as exc:
            raise NotFoundError(f"{self._bucket.name}: {key} is gone") from exc
        raise NotFoundError(f"{self._bucket.name}: there is no {key}")

    async def create(self, name: str, data: bytes) -> bool:
        await self._prove()
        return await self._bucket.create(self._folder + name, data)

    async def replace(self, name: str, data: bytes) -> None:
        await self._prove()
        await self._bucket.replace(self._folder + name, data)

    async def delete(self, name: str) -> None:
        await self._bucket.delete(self._folder + name)

    async def extend(self, name: str, until: datetime) -> None:
        if not await self._bucket.extend(self._folder + name, until):
            raise NotFoundError(f"{self._bucket.name}: there is no {self._folder}{name}")
