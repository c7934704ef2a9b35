"""Brings a standby to the source's last commit, for a planned promotion or on request."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from replicator.errors import TransientError
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import ClosedCut
from replicator.model.operations.pulse import apply_to
from replicator.services.records.missing_wait import Awaited
from replicator.services.running.processes import RunningProcesses
from replicator.services.target.target import Target

LOOK_S = 0.5
"""Seconds between two looks at a process that does the work."""


class Watching(Protocol):
    """What takes cuts of the source."""

    async def poll(self) -> bool:
        """Take a cut; return whether the source had changed."""


class Applying(Protocol):
    """What brings the target to its next cut."""

    async def apply_next(self) -> bool:
        """Return False if the log has no further cut yet."""

    @property
    def awaited(self) -> Awaited | None:
        """Missing bytes that the last call waits for; None if it does not wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnServices:
    """The two services that a drain has to run itself while no other process runs them.

    Each is created on first use: a watcher takes over the log, an applier the target.
    """

    watcher: Callable[[], Awaitable[Watching]]
    applier: Callable[[], Awaitable[Applying]]


class Drain:
    """Brings the source's last commit to the target, by the processes that run already.

    A second watcher or applier would fence the first one and end its process, which also serves
    the other targets. So a drain does only the work of services that do not run, and waits for the
    others.

    Args:
        target: Target to bring to the source's last commit.
        running: Processes that do the work already.
        own: Services that do the work of those that do not run.
    """

    def __init__(self, target: Target, *, running: RunningProcesses, own: OwnServices) -> None:
        self._target, self._running, self._own = target, running, own
        self._watcher: Watching | None = None
        self._applier: Applying | None = None

    async def run(self, *, timeout_s: float) -> None:
        """Return once the source has stayed as it was for a whole poll, and the target has that.

        Raises:
            TransientError: it takes longer than `timeout_s`.
            RefusedError: the target is paused.
        """
        try:
            async with asyncio.timeout(timeout_s):
                before = await self._target.history.last_cut()
                while True:
                    while await self._poll():
                        pass
                    last = await self._target.history.last_cut()
                    await self._apply_to(last)
                    # Cuts without a change close as signs of life: only an equal inventory says
                    # that the source rests.
                    if last and before and last.closed.digest == before.closed.digest:
                        return
                    before = last
        except TimeoutError as exc:
            raise self._late(timeout_s) from exc

    async def catch_up(self, *, timeout_s: float) -> None:
        """Return once the target has all that the source held when this was called.

        The source may change meanwhile; the applier follows later changes.

        Raises:
            TransientError: it takes longer than `timeout_s`.
            RefusedError: the target is paused.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._poll()
                await self._apply_to(await self._target.history.last_cut())
        except TimeoutError as exc:
            raise self._late(timeout_s) from exc

    def _late(self, timeout_s: float) -> TransientError:
        awaited = self._applier.awaited if self._applier else None
        waits = f": it waits for the bytes of {', '.join(awaited.keys[:3])}" if awaited else ""
        return TransientError(
            f"target {self._target.name!r} did not reach the source's last commit within"
            f" {timeout_s:g} s{waits}",
            hint="see what waits in `status`, then run the command again: it goes on",
        )

    async def _poll(self) -> bool:
        """Return once a poll that began after this call has ended; True: another one is due."""
        if await self._running.poll() is not None:
            return False
        self._watcher = self._watcher or await self._own.watcher()
        return await self._watcher.poll()

    async def _apply_to(self, cut: ClosedCut | None) -> None:
        """Wait until the target is at a cut, or bring it there."""
        while cut is not None and not _is_at(checkpoint := await self._target.checkpoint(), cut):
            # A running applier leaves a paused target alone: to wait for it would last until the
            # timeout. The applier of this process refuses it with the reason.
            is_paused = checkpoint is not None and checkpoint.paused
            if not is_paused and await self._running.heard(apply_to(self._target.name)) is not None:
                await asyncio.sleep(LOOK_S)
                continue
            self._applier = self._applier or await self._own.applier()
            if not await self._applier.apply_next():
                await asyncio.sleep(LOOK_S)


def _is_at(checkpoint: Checkpoint | None, cut: ClosedCut) -> bool:
    return checkpoint is not None and checkpoint.offset >= cut.offset
