"""One client of the AWS SDK, opened at its first use, because it belongs to a running loop."""

import asyncio
from contextlib import AbstractContextManager, AsyncExitStack
from typing import TYPE_CHECKING

from replicator.adapters.s3.service import S3Service
from replicator.adapters.s3.session import s3_client, translated
from replicator.adapters.transfer.pacing import Pace

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client


class S3Sdk:
    """Makes requests for one bucket through the SDK, at the storage's pace."""

    def __init__(self, service: S3Service, pace: Pace) -> None:
        self._service, self._pace = service, pace
        self._stack = AsyncExitStack()
        self._opened: S3Client | None = None
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """Close all connections."""
        self._opened = None
        await self._stack.aclose()

    async def client(self) -> "S3Client":
        """Return the client, opened at its first use."""
        async with self._lock:
            if (client := self._opened) is None:
                client = await self._stack.enter_async_context(s3_client(self._service))
                self._opened = client
            return client

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return self._service.region.value

    async def pace(self) -> None:
        """Wait for this storage's turn."""
        await self._pace.request()

    def translated(self, doing: str) -> AbstractContextManager[None]:
        """Translate the SDK's errors into the replicator's."""
        return translated(self._service.bucket, doing, self._pace)
