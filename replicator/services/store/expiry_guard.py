"""Keeps a target from pointing at bytes that an expiry is deleting beside it.

An expiry announces what it condemns and then reads the history once more; whoever follows writes
the history of a cut and then looks for such announcements. Whatever the order, one of the two sees
the other: the expiry spares what the cut needs, or the cut waits until the expiry is over and has
its bytes copied again.
"""

from replicator.errors import TransientError
from replicator.model.intent import IntentFiles
from replicator.model.ledger import Offsets
from replicator.model.locations import HashSet, TargetLocator, among
from replicator.services.history.reader import History
from replicator.services.store.intents import Intents


class ExpiryGuard:
    """Remembers which expiries were over before bytes were asked for.

    Args:
        intents: Those in the target's store.
        history: Gives the records that a cut consists of.
        placing: Where their bytes are at the target.
    """

    def __init__(self, *, intents: Intents, history: History, placing: TargetLocator) -> None:
        self._intents, self._history, self._placing = intents, history, placing
        self._settled: int | None = None

    async def look(self) -> None:
        """Take note of the expiries that are over; bytes that are asked for from now on are safe.

        Raises:
            TransientError: the store is away.
        """
        listed = await self._intents.listed()
        self._settled = await self._over(listed, after=0)

    async def require_spared(self, offsets: Offsets) -> None:
        """Require that nothing was condemned of what the records at some offsets need.

        Their history must be in the store before. After this, `look` has been done for what is
        asked for next.

        Raises:
            TransientError: an expiry that was not over at the last `look` condemns, or may condemn,
                a place of theirs. Look, ask for their bytes again, and come back.
        """
        if self._settled is None:
            raise AssertionError("nobody has looked for expiries before bytes were asked for")
        listed = await self._intents.listed()
        newer = [files for files in listed if files.number > self._settled]
        if newer:
            await self._require_spared_by(newer, offsets)
            self._settled = await self._over(listed, after=self._settled)

    async def _require_spared_by(self, newer: list[IntentFiles], offsets: Offsets) -> None:
        needed = HashSet()
        async for records in self._history.records(offsets):
            needed.add(self._placing.located_hashes(records).hashes)
        before = self._settled
        for files in newer:
            forgotten, before = files.number - 1 != before, files.number
            unreferenced = None if forgotten else await self._intents.hashes(files.number)
            if unreferenced is None or among(needed.hashes(), unreferenced).any():
                raise TransientError(
                    f"expiry {files.number} deletes what this cut needs again: its bytes are copied"
                    " again once that is over"
                )

    async def _over(self, listed: list[IntentFiles], *, after: int) -> int:
        """Return up to which number all are over."""
        for files in listed:
            if files.number > after:
                if not await self._intents.is_over(files):
                    break
                after = files.number
        return after
