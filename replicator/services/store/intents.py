"""The intents of expiries in one target's store: which there are, and whether they are over."""

from datetime import datetime, timedelta

from replicator.errors import NotFoundError
from replicator.model.event import Offset
from replicator.model.intent import (
    EXPIRY,
    Intent,
    IntentFiles,
    done_of,
    intent_name,
    intent_of,
    intents,
    lease_name,
    until_of,
)
from replicator.model.locations import LocationHashes, sorted_hashes
from replicator.ports import LIST_BYTES_MAX, Area, Clock


class Intents:
    """Reads what expiries have announced; whoever looks must not trust what it saw before.

    Args:
        area: Where the target keeps our files.
        clock: By which an expiry that went silent is over.
        clock_skew_max: How far the clock of the machine that runs it may be behind.
    """

    def __init__(self, area: Area, *, clock: Clock, clock_skew_max: timedelta) -> None:
        self._area, self._clock, self._skew = area, clock, clock_skew_max

    async def listed(self) -> list[IntentFiles]:
        """Return all intents by the names of their files, oldest first: one listing."""
        return intents(await self._area.names(f"{EXPIRY}/"))

    async def intent(self, number: int) -> Intent:
        """Return one of them.

        Raises:
            NotFoundError: there is none.
            CorruptionError: it is altered.
        """
        return await _intent(self._area, number)

    async def hashes(self, number: int) -> LocationHashes | None:
        """Return what one condemns, None when it was not written, or is not kept any more."""
        try:
            return sorted_hashes(
                await self._area.get(intent_name(number, "places"), bytes_max=LIST_BYTES_MAX)
            )
        except NotFoundError:
            return None

    async def valid_until(self, files: IntentFiles) -> datetime:
        """Return until when one may delete."""
        until = (await self.intent(files.number)).valid_until
        if files.last_lease:
            name = lease_name(files.number, files.last_lease)
            until = max(until, until_of(name, await self._area.get(name)))
        return until

    async def is_over(self, files: IntentFiles) -> bool:
        """Return whether nothing will be deleted by it any more, whatever became of its process."""
        if files.is_done:
            return True
        try:
            until = await self.valid_until(files)
        except NotFoundError:  # taken away since the listing: only what is over is
            return True
        return self._clock.now() >= until + self._skew


async def horizon(area: Area, log_id: str) -> Offset:
    """Return before which offset no cut of a log can be restored any more, but for those held."""
    for files in reversed(intents(await area.names(f"{EXPIRY}/"))):
        if files.is_announced:
            intent = await _intent(area, files.number)
            if intent.log_id == log_id:
                return await _horizon(area, files, intent)
    return Offset(0)


async def _horizon(area: Area, files: IntentFiles, intent: Intent) -> Offset:
    if files.is_done:
        name = intent_name(intent.number, "done.json")
        if not done_of(name, await area.get(name)).carried_out:
            return intent.before
    return intent.horizon


async def _intent(area: Area, number: int) -> Intent:
    return intent_of(number, await area.get(intent_name(number)))
