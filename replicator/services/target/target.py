"""One target as its services see it: where its rows come from, and what holds them."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from replicator.model.checkpoint import Checkpoint, Gap, TargetState
from replicator.model.event import Epoch
from replicator.model.observation import Observer
from replicator.model.renaming import Renamed
from replicator.ports import Area, Clock, DeepStorage, MetadataWriter, Transaction
from replicator.services.history.reader import History


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target's rows, bytes and files, and the history that it is held against."""

    name: str
    """The target's, in the configuration and in every message."""
    source: str
    """The source's, in every event and in the target's own tables."""
    metadata: MetadataWriter
    """Holds its rows, and how far it is."""
    storage: DeepStorage
    """Holds its bytes. Whoever may also remove or replace some is given that apart."""
    area: Area
    """Holds our own files beside the bytes."""
    history: History
    """Says what its rows should be: the log's, or that of a store."""
    clock: Clock
    """The one by which what is written beside the bytes begins and ends."""
    observer: Observer
    """Is told what happens to it."""

    async def state(self) -> TargetState:
        """Return the cut that it is at, and whose epoch it is.

        Raises:
            TransientError: the metadata store is away.
        """
        return await self.metadata.state(self.source)

    async def checkpoint(self) -> Checkpoint | None:
        """Return the cut that it is at; None: nothing was applied yet."""
        return (await self.state()).checkpoint

    async def acquire(self) -> TargetState:
        """Take a new epoch, which fences whoever wrote before; return the state with it."""
        return await self.metadata.acquire(self.source)

    async def gaps(self, log_id: str) -> Sequence[Gap]:
        """Return the rows of a log that it could not get, open and closed."""
        return await self.metadata.gaps(self.source, log_id)

    async def renamed(self) -> Sequence[Renamed]:
        """Return the datasources that were restored under another name."""
        return await self.metadata.renamed(self.source)

    def transaction(self, epoch: Epoch) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction on its rows, as `MetadataWriter.transaction` does."""
        return self.metadata.transaction(self.source, epoch)

    async def log_id(self) -> str:
        """Return which log its history is of."""
        return (await self.history.span()).log_id
