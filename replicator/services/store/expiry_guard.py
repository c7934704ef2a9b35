"""Keeps a target from referencing bytes that an expiry deletes at the same time.

An expiry announces what it will delete and then reads the history once more; an applier writes the
history of a cut and then looks for announcements. Whatever the order, one of the two sees the
other: either the expiry spares what the cut needs, or the cut waits until the expiry is over and
its bytes are copied again.
"""

from replicator.errors import TransientError
from replicator.model.inventory.ledger import Offsets
from replicator.model.log.locations import HashSet, TargetLocator, among
from replicator.model.store.intent import IntentFiles
from replicator.services.history.reader import History
from replicator.services.store.intents import Intents


class ExpiryGuard:
    """Remembers which expiries were over before bytes were copied.

    Args:
        intents: Intents in the target's store.
        history: Provides the records of a cut.
        locator: Rule that finds the location of a record's bytes on the target.
    """

    def __init__(self, *, intents: Intents, history: History, locator: TargetLocator) -> None:
        self._intents, self._history, self._locator = intents, history, locator
        self._settled: int | None = None

    async def look(self) -> None:
        """Note which expiries are over; bytes that are copied from now on are safe from them.

        Raises:
            TransientError: the store is unreachable.
        """
        listed = await self._intents.listed()
        self._settled = await self._over(listed, after=0)

    async def require_spared(self, offsets: Offsets) -> None:
        """Require that no expiry deletes what the records at some offsets need.

        Their history must already be in the store. Afterwards `look` has been done for the next
        copies.

        Raises:
            TransientError: an expiry that was not over at the last `look` deletes, or may delete,
                one of their locations. Call `look`, copy their bytes again, and repeat.
        """
        if self._settled is None:
            raise AssertionError("`look` was not called before bytes were copied")
        listed = await self._intents.listed()
        newer = [files for files in listed if files.number > self._settled]
        if newer:
            await self._require_spared_by(newer, offsets)
            self._settled = await self._over(listed, after=self._settled)

    async def _require_spared_by(self, newer: list[IntentFiles], offsets: Offsets) -> None:
        needed = HashSet()
        async for records in self._history.records(offsets):
            needed.add(self._locator.located_hashes(records).hashes)
        before = self._settled
        for files in newer:
            forgotten, before = files.number - 1 != before, files.number
            unreferenced = None if forgotten else await self._intents.hashes(files.number)
            if unreferenced is None or among(needed.hashes(), unreferenced).any():
                raise TransientError(
                    f"expiry {files.number} deletes what this cut needs again: the bytes are copied"
                    " again once the expiry is over"
                )

    async def _over(self, listed: list[IntentFiles], *, after: int) -> int:
        """Return the number up to which all expiries are over."""
        for files in listed:
            if files.number > after:
                if not await self._intents.is_over(files):
                    break
                after = files.number
        return after
