"""Looks at log, targets and their stores at intervals, so that each request costs nothing there."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from replicator.errors import ReplicatorError, TransientError
from replicator.model.event import Offset
from replicator.ports import Clock
from replicator.services.inspection.chronicle import Chronicle
from replicator.services.monitoring.life import LifeSigns
from replicator.services.monitoring.poller import Poller
from replicator.services.monitoring.status import LogStatus, SourceStatus
from replicator.services.monitoring.trouble import Seen
from replicator.services.notifications.queues import WebhookQueue
from replicator.services.running.patience import Patience
from replicator.services.running.pause import pause, unless
from replicator.services.schedules.states import LineState
from replicator.task_group import TaskGroup
from replicator.web.notes import NotesReader, StoreNotes
from replicator.web.status_report import StatusReport
from replicator.web.trend import TargetSample, Trend

SETTLED_S_MAX: Final = 5.0
"""Longest wait for a look at what a job of this service has just changed, in seconds."""
NOTHING_READ: Final = LogStatus(
    log_id="",
    records=0,
    last=None,
    first=Offset(0),
    failure=TransientError("it was not looked at yet"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Further questions of each look, beside log and targets."""

    life: Callable[[LogStatus], Awaitable[LifeSigns]]
    source: Callable[[], Coroutine[Any, Any, SourceStatus]]
    schedules: Callable[[], Awaitable[Sequence[LineState]]]
    """Returns schedules and their last runs, read from the targets' stores."""
    webhooks: Callable[[], Awaitable[Sequence[WebhookQueue]]]
    """Returns deliveries to operators, read from this machine's journal."""
    retention: Mapping[str, timedelta]
    """How long any moment can be restored, for each target with a retention."""
    archives: frozenset[str] = frozenset()
    """Targets without a metadata store: nothing is restored into them, and none is promoted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromisedWindow:
    """The moments that should be restorable."""

    begins: datetime | None
    """None: the target has no retention, so nothing expires."""
    ends: datetime
    """The time of the look less the `rpo`."""


class Panorama:
    """The last look at everything that the page shows.

    Args:
        poller: Looks at log and targets; its owner runs it.
        chronicle: Follows the log.
        notes: Reads the store of each target.
        surroundings: Returns the rest.
        clock: Clock that dates looks.
        interval_s: Time between two looks, in seconds.
        records_per_look_max: Records of the log that one look reads.
        timeout_s: Time for the source to answer, in seconds.
    """

    def __init__(
        self,
        *,
        poller: Poller,
        chronicle: Chronicle,
        notes: Mapping[str, NotesReader],
        surroundings: Surroundings,
        clock: Clock,
        interval_s: float,
        records_per_look_max: int,
        timeout_s: float = 60.0,
    ) -> None:
        self._patience = Patience(timeout_s)
        self.poller, self.chronicle, self._notes = poller, chronicle, notes
        self.trend = Trend()
        self.clock = clock
        self.is_read = False
        """Whether the log was read to its end: what is counted of it is complete."""
        self.log_failure: ReplicatorError | None = None
        self._surroundings = surroundings
        self._interval_s, self._records_max = interval_s, records_per_look_max
        self._life: LifeSigns | None = None
        self._source: SourceStatus | None = None
        self._schedules: Sequence[LineState] = ()
        self._webhooks: Sequence[WebhookQueue] = ()
        self._wanted, self._settled = asyncio.Event(), asyncio.Event()
        self.looked_at: datetime | None = None
        """Time of the last look; None: there was none."""

    def refresh(self, targets: Collection[str] = ()) -> None:
        """Look again at once: this service has changed something of these targets, or of all."""
        for name, reader in self._notes.items():
            if not targets or name in targets:
                reader.refresh()
        self._settled.clear()
        self._wanted.set()

    async def settled(self, within_s: float = SETTLED_S_MAX) -> None:
        """Wait until this service's changes were all looked at, at most `within_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._settled.wait()

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set."""
        while not stop.is_set():
            await unless(stop, self.look())
            if self.is_read or self.log_failure is not None:
                await unless(stop, pause(self._wanted, self._interval_s))

    async def look(self) -> None:
        """Look once, and read at most `records_per_look_max` records of the log.

        Stores are read side by side: one that hangs holds up no news of the others.
        """
        is_wanted = self._wanted.is_set()
        # Before the look and not after it: a change that comes meanwhile is looked at by the next
        # one.
        self._wanted.clear()
        if is_wanted:
            await self.poller.look()
        log = self._log
        self._source = await self._source_status()
        self._life = await self._surroundings.life(log)
        self._webhooks = await self._surroundings.webhooks()
        async with TaskGroup() as group:
            looks = [group.create_task(one.look(log.log_id)) for one in self._notes.values()]
        if any(look.result() for look in looks):
            self._schedules = await self._surroundings.schedules()
        try:
            self.is_read = await self.chronicle.read_on(records_max=self._records_max)
            self.log_failure = None
        except ReplicatorError as exc:
            self.log_failure = exc
        self.looked_at = self.clock.now()
        self.trend.add(self.looked_at, self._samples())
        if not self._wanted.is_set():
            self._settled.set()

    async def _source_status(self) -> SourceStatus:
        try:
            return await self._patience.answer("the source", self._surroundings.source)
        except ReplicatorError as exc:
            return SourceStatus(freshness=None, unknown=str(exc))

    def notes(self, target: str) -> StoreNotes | None:
        """Return the last notes of a target; None if its store was not read yet."""
        return self._notes[target].notes

    def notes_failure(self, target: str) -> ReplicatorError | None:
        """Return why a target's store cannot be read at the moment; None: it can."""
        return self._notes[target].failure

    def is_archive(self, target: str) -> bool:
        """Return whether a target has no metadata store."""
        return target in self._surroundings.archives

    def promised(self, target: str) -> PromisedWindow | None:
        """Return what should be restorable now; None as long as the target was never seen."""
        seen = self.poller.seen.get(target)
        if seen is None:
            return None
        now, retention = self.clock.now(), self._surroundings.retention.get(target)
        return PromisedWindow(
            begins=None if retention is None else now - retention,
            ends=now - seen.status.promises.rpo,
        )

    @property
    def targets(self) -> list[str]:
        """Names of all targets that are looked at, sorted."""
        return sorted(self._notes)

    @property
    def report(self) -> StatusReport | None:
        """The report that `status` would show; None before the first look."""
        if self._life is None or self._source is None:
            return None
        poller = self.poller
        seen = Seen(
            life=self._life,
            source=self._source,
            log=self._log,
            targets=[one.status for _, one in sorted(poller.seen.items())],
            failures={name: failure.error for name, failure in poller.failures.items()},
        )
        known = {name: notes for name in self.targets if (notes := self.notes(name))}
        return StatusReport(
            seen=seen,
            restorable={name: one.windows for name, one in known.items()},
            schedules=self._schedules,
            canaries=[one.canary for one in known.values() if one.canary is not None],
            webhooks=self._webhooks,
            away_since={name: failure.since for name, failure in poller.failures.items()},
        )

    @property
    def _log(self) -> LogStatus:
        poller = self.poller
        if poller.log_failure is not None:
            return replace(poller.log or NOTHING_READ, failure=poller.log_failure.error)
        return poller.log or NOTHING_READ

    def _samples(self) -> dict[str, TargetSample]:
        return {
            name: TargetSample(
                lag_s=None if one.status.lag is None else one.status.lag.total_seconds(),
                pending_bytes=one.status.pending.size_bytes if one.status.pending else None,
            )
            for name, one in self.poller.seen.items()
        }
