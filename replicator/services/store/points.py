"""Which cuts one target's store can still restore, and which of them the operator wants kept."""

from collections.abc import Callable, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import TypeVar

from replicator.errors import CorruptionError, GapError, NotFoundError
from replicator.model.event import Offset
from replicator.model.operations.words import whole_time
from replicator.model.store.holds import (
    HOLDS,
    POINTS,
    RESTORES,
    Hold,
    NamedPoint,
    RestoreLease,
    file_name,
    hold_of,
    lease_of,
    point_of,
)
from replicator.ports import Clock
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.intents import horizon
from replicator.services.store.store import Store

_Read = TypeVar("_Read")
_EXPIRED = "`replicator points` lists what can be restored; a hold keeps a cut for longer"


class StorePoints:
    """Named points, holds, restore leases and the horizon of one store."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store, self._area, self._clock = store, store.area, clock

    def now(self) -> datetime:
        """Return the time by which holds end."""
        return self._clock.now()

    async def horizon(self, log_id: str) -> Offset:
        """Return the horizon: no cut before this offset can be restored, unless a hold keeps it."""
        return await horizon(self._area, log_id)

    async def points(self) -> tuple[list[NamedPoint], list[str]]:
        """Return the named points in order of name, and a message for each unreadable one."""
        return await self._readable(POINTS, point_of)

    async def point(self, name: str) -> NamedPoint:
        """Return a named point, or the cut of the hold of that name; reads no other file.

        Raises:
            NotFoundError: there is neither.
            CorruptionError: the file is altered.
        """
        if (data := await self._get(file_name(POINTS, name))) is not None:
            return point_of(file_name(POINTS, name), data)
        if (hold := await self.hold(name)) is not None:
            return hold.point
        raise NotFoundError(
            f"there is no point {name!r} in this store", hint=await self.nearest(name)
        )

    async def nearest(self, name: str) -> str:
        """Return a sentence on the point or the hold that the operator may have meant."""
        folders = [await self._area.names(f"{one}/") for one in (POINTS, HOLDS)]
        known = {_name(file) for names in folders for file in names}
        listed = "`replicator points` lists those that there are"
        close = get_close_matches(name, sorted(known), n=1)
        return f"did you mean {close[0]!r}? {listed}" if close else listed

    async def named(self, name: str) -> NamedPoint | None:
        """Return the point of a name; None if there is none. Holds do not count."""
        data = await self._get(file_name(POINTS, name))
        return None if data is None else point_of(file_name(POINTS, name), data)

    async def hold(self, name: str) -> Hold | None:
        """Return the hold of a name; None if there is none."""
        data = await self._get(file_name(HOLDS, name))
        return None if data is None else hold_of(file_name(HOLDS, name), data)

    async def readable_holds(self) -> tuple[list[Hold], list[str]]:
        """Return the holds in order of name, and a message for each unreadable one.

        For callers that show holds or need one of them; a caller that deletes must use `holds`.
        """
        return await self._readable(HOLDS, hold_of)

    async def holds(self) -> list[Hold]:
        """Return all holds in order of name, including those that have ended.

        Raises:
            CorruptionError: a hold is altered, so it is unknown what the hold keeps.
        """
        return [hold_of(name, data) for name, data in await self._files(HOLDS)]

    async def holds_in_force(self, log_id: str | None) -> list[Hold]:
        """Return the holds in force on cuts of a log; None: of all logs."""
        now = self._clock.now()
        return [
            hold
            for hold in await self.holds()
            if log_id in {None, hold.point.log_id} and hold.holds_at(now)
        ]

    async def lease(self, name: str) -> RestoreLease | None:
        """Return the lease in a file; None if there is none."""
        data = await self._get(name)
        return None if data is None else lease_of(name, data)

    async def leases(self) -> list[tuple[str, RestoreLease]]:
        """Return all leases of restores with the names of their files."""
        return [(name, lease_of(name, data)) for name, data in await self._files(RESTORES)]

    async def refuse_expired(self, log_id: str, offset: Offset) -> None:
        """Refuse a cut that has expired, or that an announced expiry is about to delete.

        Raises:
            GapError: the cut is before the horizon and no hold keeps it; the nearest cuts are
                named.
            CorruptionError: a hold cannot be read, and no other hold is on this cut.
        """
        bar = await self.horizon(log_id)
        if offset >= bar:
            return
        readable, faults = await self.readable_holds()
        now = self._clock.now()
        holds = [hold for hold in readable if hold.point.log_id == log_id and hold.holds_at(now)]
        if all(hold.point.offset != offset for hold in holds):
            # The hold that cannot be read may be the one that keeps this cut: "expired" would be a
            # guess.
            if faults:
                raise CorruptionError(
                    f"the cut at offset {offset} has expired, unless a hold that cannot be read"
                    f" keeps it: {faults[0]}",
                    hint="take that file from a copy of this store, or remove it",
                )
            nearest = await self._nearest(log_id, offset, bar, holds)
            raise GapError(
                f"the cut at offset {offset} has expired; the nearest that can be restored"
                f" {'are' if len(nearest) > 1 else 'is'} {' and '.join(nearest)}",
                hint=_EXPIRED,
            )

    async def _nearest(
        self, log_id: str, offset: Offset, bar: Offset, holds: Sequence[Hold]
    ) -> list[str]:
        """Return in words the last held cut before an offset, and the first cut after it."""
        archive = ArchivedLog(self._store, log_id)
        holds = sorted(holds, key=lambda hold: hold.point.offset)
        before = [hold for hold in holds if hold.point.offset < offset][-1:]
        after = [hold for hold in holds if offset < hold.point.offset < bar][:1]
        words = [_words(hold) for hold in (*before, *after)]
        await archive.refresh()
        windows, _ = await archive.windows_from(bar)
        if not after and windows:
            first = windows[0].base.cut
            words.append(f"offset {first.offset} ({whole_time(first.closed.source_time)})")
        return words or ["none"]

    async def _files(self, folder: str) -> list[tuple[str, bytes]]:
        names = await self._area.names(f"{folder}/")
        found = [(name, await self._get(name)) for name in names]
        return [(name, data) for name, data in found if data is not None]

    async def _readable(
        self, folder: str, read: Callable[[str, bytes], _Read]
    ) -> tuple[list[_Read], list[str]]:
        """Return what the files of a folder hold, and a message for each unreadable one."""
        found, faults = list[_Read](), list[str]()
        for name in await self._area.names(f"{folder}/"):
            try:
                if (data := await self._get(name)) is not None:
                    found.append(read(name, data))
            except CorruptionError as exc:
                faults.append(str(exc))
        return found, faults

    async def _get(self, name: str) -> bytes | None:
        """Return a file's bytes; None if there is no file, or it was deleted meanwhile."""
        try:
            return await self._area.get(name)
        except NotFoundError:
            return None


def _name(file: str) -> str:
    return file.rpartition("/")[2].removesuffix(".json")


def _words(hold: Hold) -> str:
    point = hold.point
    return f"offset {point.offset} ({whole_time(point.source_time)}, held as {point.name})"
