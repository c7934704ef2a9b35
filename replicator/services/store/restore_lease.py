"""Leases: tell expiries in each store that a restore reads it, so that its needs stay."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TypeAlias

from replicator.errors import TransientError, worst_alone
from replicator.model.event import Offset
from replicator.model.store.holds import (
    RESTORES,
    RestoreLease,
    file_name,
    lasting_s,
    lease_json,
)
from replicator.ports import Area, Clock
from replicator.services.store.points import StorePoints
from replicator.task_group import TaskGroup

ID_BITS = 128
Keep: TypeAlias = Callable[[Offset], Awaitable[object]]
"""Keeps the cut at an offset for longer than a lease lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLimits:
    """How long a lease lasts without a renewal."""

    lease: timedelta
    renewal: timedelta
    """Time between two renewals; much shorter than the lease."""


class RestoreLeases:
    """Leases of one restore in every store that it reads or writes to.

    Args:
        areas: Areas of the targets concerned, by the targets' names.
        points: Points of the store that provides the bytes.
        clock: Clock by which a lease ends.
        limits: Lengths of lease and renewal.
        rng: Source of the lease's random name.
        keep: Called before the restore for a cut that is needed afterwards too.
    """

    def __init__(
        self,
        *,
        areas: Mapping[str, Area],
        points: StorePoints,
        clock: Clock,
        limits: LeaseLimits,
        rng: Random,
        keep: Keep | None = None,
    ) -> None:
        self._areas, self._points, self._clock = areas, points, clock
        self._limits, self._rng, self._keep = limits, rng, keep

    @property
    def keeps(self) -> bool:
        """Whether the cut is kept for longer than the restore takes."""
        return self._keep is not None

    async def refuse_expired(self, log_id: str, offset: Offset) -> None:
        """Refuse a cut that the store cannot restore any more.

        Raises:
            GapError: the cut has expired; the nearest cuts are named.
        """
        await self._points.refuse_expired(log_id, offset)

    @asynccontextmanager
    async def taken(
        self, log_id: str, offset: Offset, *, is_here: bool = False
    ) -> AsyncIterator[None]:
        """Hold leases within the block, and renew them.

        `is_here` says that the target is at this cut: its own rows then keep the bytes, expired or
        not.

        Raises:
            GapError: the cut has expired, or an expiry of it has been announced.
            TransientError: a store is unreachable, or was for so long that a lease has ended.
        """
        name = file_name(RESTORES, f"{self._rng.getrandbits(ID_BITS):032x}")
        try:
            with worst_alone():
                until = await self._write(name, log_id, offset)
                # After the lease is written: an expiry either sees the lease in its second look, or
                # was announced before, and shows here.
                if not is_here:
                    await self.refuse_expired(log_id, offset)  # a later expiry sees the lease
                if self._keep is not None:
                    await self._keep(offset)
                async with TaskGroup() as group:
                    renewing = group.create_task(self._renew(name, log_id, offset, until))
                    yield
                    renewing.cancel()
        finally:
            await self._give_back(name)

    async def _write(self, name: str, log_id: str, offset: Offset) -> datetime:
        until = self._clock.now() + self._limits.lease
        lasts_s = lasting_s(self._limits.lease)
        data = lease_json(
            RestoreLease(log_id=log_id, offset=offset, valid_until=until, lasts_s=lasts_s)
        )
        for area in self._areas.values():
            await area.replace(name, data)
        return until

    async def _renew(self, name: str, log_id: str, offset: Offset, until: datetime) -> None:
        """Write the lease again and again; it ends by the wall clock and by a monotonic one.

        Others believe that it is over by either.
        """
        now_s = asyncio.get_running_loop().time
        written_at_s = now_s()
        while True:
            await asyncio.sleep(self._limits.renewal.total_seconds())
            begun_s = now_s()
            try:
                until = await self._write(name, log_id, offset)
                # From before the request: the stores may have had the lease since then.
                written_at_s = begun_s
            except TransientError as exc:
                is_old = now_s() >= written_at_s + self._limits.lease.total_seconds()
                if is_old or self._clock.now() >= until:
                    raise TransientError(
                        f"the restore of offset {offset} could not renew its lease for"
                        f" {self._limits.lease}: {exc}"
                    ) from exc

    async def _give_back(self, name: str) -> None:
        """Delete the leases; a lease that cannot be deleted ends by itself."""
        for area in self._areas.values():
            try:
                await area.delete(name)
            # A store that is away now must not hide how the restore ended.
            except TransientError:
                continue
