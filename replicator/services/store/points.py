"""Which cuts one target's store can still give back, and what people want kept of them."""

from collections.abc import Sequence

from replicator.errors import GapError, NotFoundError
from replicator.model.event import Offset
from replicator.model.holds import (
    HOLDS,
    POINTS,
    RESTORES,
    Hold,
    NamedPoint,
    RestoreLease,
    hold_of,
    lease_of,
    point_of,
)
from replicator.ports import Clock
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.intents import horizon
from replicator.services.store.store import Store

_EXPIRED = "`replicator points` lists what can be restored; a hold keeps a cut for longer"


class KeptPoints:
    """Named points, holds, leases of restores and the horizon of one store."""

    def __init__(self, store: Store, *, clock: Clock) -> None:
        """Take the settings; nothing is read yet."""
        self._store, self._area, self._clock = store, store.area, clock

    async def horizon(self, log_id: str) -> Offset:
        """Return before which offset no cut can be restored any more, but for those held."""
        return await horizon(self._area, log_id)

    async def points(self) -> list[NamedPoint]:
        """Return the named points, by their names."""
        names = await self._area.names(f"{POINTS}/")
        return [point_of(name, data) for name, data in await self._files(names)]

    async def point(self, name: str) -> NamedPoint:
        """Return a named point, or the cut of the hold of that name.

        Raises:
            NotFoundError: there is neither.
        """
        for point in (*await self.points(), *[hold.point for hold in await self.holds()]):
            if point.name == name:
                return point
        raise NotFoundError(
            f"there is no point {name!r} in this store",
            hint="`replicator points` lists those that there are",
        )

    async def holds(self) -> list[Hold]:
        """Return all holds, by their names, those that have ended as well."""
        names = await self._area.names(f"{HOLDS}/")
        return [hold_of(name, data) for name, data in await self._files(names)]

    async def holds_in_force(self, log_id: str | None) -> list[Hold]:
        """Return the holds that have not ended, on cuts of a log or, for None, of all logs."""
        now = self._clock.now()
        return [
            hold
            for hold in await self.holds()
            if log_id in {None, hold.point.log_id} and hold.holds_at(now)
        ]

    async def leases(self) -> list[tuple[str, RestoreLease]]:
        """Return all leases of restores with the names of their files."""
        names = await self._area.names(f"{RESTORES}/")
        return [(name, lease_of(name, data)) for name, data in await self._files(names)]

    async def refuse_expired(self, log_id: str, offset: Offset) -> None:
        """Refuse a cut that expiry has taken, or is about to take.

        Raises:
            GapError: it is before the horizon and nothing holds it; the nearest ones are named.
        """
        bar = await self.horizon(log_id)
        if offset >= bar:
            return
        holds = await self.holds_in_force(log_id)
        if all(hold.point.offset != offset for hold in holds):
            nearest = await self._nearest(log_id, offset, bar, holds)
            raise GapError(
                f"the cut at offset {offset} has expired; the nearest that can be restored"
                f" {'are' if len(nearest) > 1 else 'is'} {' and '.join(nearest)}",
                hint=_EXPIRED,
            )

    async def _nearest(
        self, log_id: str, offset: Offset, bar: Offset, holds: Sequence[Hold]
    ) -> list[str]:
        """Return the places in words: of the last hold before, and of what comes first after."""
        archive = ArchivedLog(self._store, log_id)
        holds = sorted(holds, key=lambda hold: hold.point.offset)
        before = [hold for hold in holds if hold.point.offset < offset][-1:]
        after = [hold for hold in holds if offset < hold.point.offset < bar][:1]
        words = [_words(hold) for hold in (*before, *after)]
        bases = [base for base in await archive.offsets() if base >= bar]
        if not after and bases:
            time = (await archive.base(bases[0])).cut.closed.source_time
            words.append(f"offset {bases[0]} ({time.isoformat()})")
        return words or ["none"]

    async def _files(self, names: Sequence[str]) -> list[tuple[str, bytes]]:
        found = []
        for name in names:
            try:
                found.append((name, await self._area.get(name)))
            except NotFoundError:
                continue  # removed meanwhile
        return found


def _words(hold: Hold) -> str:
    point = hold.point
    return f"offset {point.offset} ({point.source_time.isoformat()}, held as {point.name})"
