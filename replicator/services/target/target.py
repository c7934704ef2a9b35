"""One target as its services see it: where its rows come from, and where they are stored."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from replicator.model.checkpoint import Checkpoint, Gap, TargetState
from replicator.model.event import Epoch
from replicator.model.log.renaming import Renamed
from replicator.model.observation import Observer
from replicator.model.observed.faults import ArchiveDamaged
from replicator.ports import Area, Clock, DeepStorage, MetadataWriter, Transaction
from replicator.services.history.reader import History
from replicator.services.records.store_id import (
    NAME,
    made_store_id,
    refuse_other_store,
    remembered,
    store_id,
    with_reported,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target's rows, bytes and files, and the history that they are compared with."""

    name: str
    """Name of the target, in the configuration and in every message."""
    source: str
    """Name of the source, in every event and in the target's own tables."""
    metadata: MetadataWriter
    """Metadata store with the target's rows and checkpoint."""
    storage: DeepStorage
    """Storage with the target's bytes; the right to delete or replace is given separately."""
    area: Area
    """Our own files beside the bytes."""
    history: History
    """Rows that the target should have: the log's history, or that of a store."""
    clock: Clock
    """Clock for everything that is written beside the bytes."""
    observer: Observer
    """Receives what happens to the target."""

    async def state(self, *, anew: bool = False) -> TargetState:
        """Return the target's checkpoint and its current epoch.

        Args:
            anew: Whether a target whose rows' bytes are in another store counts as one without a
                checkpoint, since it is to be begun anew.

        Raises:
            TransientError: the metadata store is unreachable.
            RefusedError: the bytes of its rows are in another store than this target's, or what
                the log remembers of it is: an archive's checkpoint is lost with its store.
        """
        state, _ = await self._state_in_store(anew=anew)
        return state

    async def checkpoint(self) -> Checkpoint | None:
        """Return the cut that the target is at; None if nothing was applied yet."""
        return (await self.state()).checkpoint

    async def acquire(self, *, anew: bool = False) -> TargetState:
        """Take a new epoch, which fences all earlier writers; return the state with it.

        Args:
            anew: As for `state`; from then on the rows' bytes are in this store.

        Raises:
            TransientError, RefusedError: as for `state`.
        """
        # what is refused here leaves another target's store unchanged
        state, store = await self._state_in_store(anew=anew)
        if store is None:
            store = await store_id(self.area) or await self._given_id(state)
        state = await self.metadata.acquire(self.source, store=store, anew=anew)
        return replace(state, store=store)  # an archive must stay in this store as well

    async def _given_id(self, state: TargetState) -> str:
        """Give a store without an id one: a new one, or its former one if that file alone is lost.

        An archive keeps its checkpoint in the same store: where that is, it is no other store.
        """
        if state.checkpoint is None or not (before := await remembered(self.name, self.history)):
            return await made_store_id(self.area)
        found = await made_store_id(self.area, before=before)
        self.observer(ArchiveDamaged(reason=f"{NAME} was missing, and was written again"))
        return found

    async def _state_in_store(self, *, anew: bool) -> tuple[TargetState, str | None]:
        """Return the state, and the store's id if the target has one to compare it with."""
        state = await with_reported(self.name, await self.metadata.state(self.source), self.history)
        store = None if state.store is None else await store_id(self.area)
        if anew and store != state.store:
            return replace(state, checkpoint=None), store
        refuse_other_store(self.name, state, store)
        return state, store

    async def require_store(self, acquired: TargetState) -> None:
        """Refuse to go on in a store that was exchanged, or emptied, since it was acquired.

        Raises:
            RefusedError: it has another id, or none.
        """
        refuse_other_store(self.name, acquired, await store_id(self.area))

    async def gaps(self, log_id: str) -> Sequence[Gap]:
        """Return the gaps of a log's rows on this target, open and closed."""
        return await self.metadata.gaps(self.source, log_id)

    async def renamed(self) -> Sequence[Renamed]:
        """Return the datasources that were restored under another name."""
        return await self.metadata.renamed(self.source)

    def transaction(self, epoch: Epoch) -> AbstractAsyncContextManager[Transaction]:
        """Open a transaction on the target's rows, as `MetadataWriter.transaction` does."""
        return self.metadata.transaction(self.source, epoch)

    async def log_id(self) -> str:
        """Return the id of the log that the history reads."""
        return (await self.history.span()).log_id
