"""Reads the intents of expiries in one target's store, and whether they are over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from replicator.errors import CorruptionError, NotFoundError, TransientError
from replicator.model.event import Offset
from replicator.model.store.intent import (
    EXPIRY,
    Intent,
    IntentDone,
    IntentFiles,
    LaterEnd,
    done_of,
    intent_name,
    intent_of,
    intents,
    lease_name,
    until_of,
)
from replicator.ports import PLACES_BYTES_MAX, Area, Clock
from replicator.services.running.lease_watch import LeaseWatch

if TYPE_CHECKING:
    from replicator.model.log.locations import LocationHashes

LOOKS_MAX = 5
"""Listings whose files may be gone when they are read."""


class Intents:
    """Reads what expiries have announced; each call reads again and trusts no earlier result.

    Only an end that was read once is not read again: an expiry that is over stays so.

    Args:
        area: The target's area.
        clock: Clock by which an expiry that went silent is over.
        clock_skew_max: How far the clock of the machine that runs an expiry may be behind.
    """

    def __init__(self, area: Area, *, clock: Clock, clock_skew_max: timedelta) -> None:
        self._area, self._clock, self._skew = area, clock, clock_skew_max
        self._ended: set[int] = set()
        self._watch = LeaseWatch()

    async def listed(self) -> list[IntentFiles]:
        """Return all intents by the names of their files, oldest first: one listing."""
        return intents(await self._area.names(f"{EXPIRY}/"))

    async def intent(self, number: int) -> Intent:
        """Return an intent by its number.

        Raises:
            NotFoundError: there is no such intent.
            CorruptionError: the intent is altered.
        """
        return await _intent(self._area, number)

    async def hashes(self, number: int) -> LocationHashes | None:
        """Return the locations that an intent deletes; None if they are not written or not kept.

        Raises:
            CorruptionError: they are cut off, or something else.
        """
        from replicator.model.log.locations import (  # noqa: PLC0415 - who only looks reads no list
            HASH_BYTES,
            sorted_hashes,
        )

        name = intent_name(number, "places")
        try:
            data = await self._area.get(name, bytes_max=PLACES_BYTES_MAX)
        except NotFoundError:
            return None
        if len(data) % HASH_BYTES:
            raise CorruptionError(
                f"{name} cannot be read: it has {len(data)} bytes, and {HASH_BYTES} for each"
                " location",
                hint="it was altered; take it from a copy of this store, or remove it: nothing is"
                " known then of what the expiry deletes, and bytes are copied again",
            )
        return sorted_hashes(data)

    async def valid_until(self, files: IntentFiles) -> datetime:
        """Return until when an expiry may delete, by its own clock."""
        return (await self._end(files)).valid_until

    async def silent_in_s(self, files: IntentFiles) -> float | None:
        """Return in how many seconds an expiry is over if it says nothing more until then.

        None: its files do not say how long it lasts without another word.
        """
        end = await self._end(files)
        if not end.lasts_s:
            return None
        watched_s = self._watch.seconds(str(files.number), (files.last_lease, end))
        return max(0.0, end.lasts_s + self._skew.total_seconds() - watched_s)

    async def _end(self, files: IntentFiles) -> LaterEnd:
        intent = await self.intent(files.number)
        end = LaterEnd(valid_until=intent.valid_until, lasts_s=intent.lasts_s)
        if files.last_lease:
            name = lease_name(files.number, files.last_lease)
            later = until_of(name, await self._area.get(name))
            end = max(end, later, key=lambda one: one.valid_until)
        return end

    async def is_over(self, files: IntentFiles) -> bool:
        """Return whether an expiry deletes nothing any more, even if its process still runs.

        One whose clock was ahead is over when this process has watched it for as long as it lasts
        without another word: it measures that time for itself, too, by a monotonic clock.

        Raises:
            CorruptionError: the intent, or the file that ends it, is altered or not signed.
        """
        # Whoever can write to a signed store can name a file so; only its contents are proof.
        if files.is_done and await self._is_ended(files.number):
            return True
        try:
            until = await self.valid_until(files)
            left_s = await self.silent_in_s(files)
        except (
            NotFoundError
        ):  # deleted since the listing, which only happens to intents that are over
            return True
        return self._clock.now() >= until + self._skew or left_s == 0.0

    async def _is_ended(self, number: int) -> bool:
        """Read the file that ends an expiry, as its name proves nothing; False if it is gone."""
        if number not in self._ended:
            try:
                await _done(self._area, number)
            except NotFoundError:
                return False
            self._ended.add(number)
        return True


async def horizon(area: Area, log_id: str, listed: Sequence[IntentFiles] | None = None) -> Offset:
    """Return the horizon of a log: no cut before it can be restored, unless a hold keeps it.

    `listed` are the intents that the caller has just listed; None: they are listed here.

    Raises:
        TransientError: expiries follow each other faster than their files can be read.
    """
    for _ in range(LOOKS_MAX):
        if listed is None:
            listed = intents(await area.names(f"{EXPIRY}/"))
        try:
            return await _listed_horizon(area, log_id, listed)
        except NotFoundError:  # the next expiry has tidied it up since the listing
            listed = None
    raise TransientError(f"files in {EXPIRY}/ vanish while they are read: expiries are running")


async def _listed_horizon(area: Area, log_id: str, listed: Sequence[IntentFiles]) -> Offset:
    for files in reversed(listed):
        if files.is_announced:
            intent = await _intent(area, files.number)
            if intent.log_id == log_id:
                return await _horizon(area, files, intent)
    return Offset(0)


async def _horizon(area: Area, files: IntentFiles, intent: Intent) -> Offset:
    # An expiry that gave up has deleted nothing: its cuts can be restored as before.
    if files.is_done and not (await _done(area, intent.number)).carried_out:
        return intent.before
    return intent.horizon


async def _intent(area: Area, number: int) -> Intent:
    return intent_of(number, await area.get(intent_name(number)))


async def _done(area: Area, number: int) -> IntentDone:
    name = intent_name(number, "done.json")
    return done_of(name, await area.get(name))
