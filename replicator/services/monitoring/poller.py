"""Looks at log and targets at intervals, and keeps the last status of each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from replicator.errors import ReplicatorError
from replicator.ports import Area, Clock, MetadataWriter
from replicator.services.monitoring.life import LifeSigns
from replicator.services.monitoring.status import LogStatus, Promises, StatusReader, TargetStatus
from replicator.services.running.patience import Patience
from replicator.services.running.pause import pause, unless
from replicator.services.store.witness import Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A target that is looked at."""

    metadata: MetadataWriter
    area: Area
    promises: Promises
    witness: Witness | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The status of one target, and when it was seen."""

    at: datetime
    status: TargetStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why there is no newer look at something, and since when."""

    since: datetime
    error: ReplicatorError


class Poller:
    """The last status of each target, and beside it the failure if it cannot be reached."""

    def __init__(
        self,
        *,
        status_reader: StatusReader,
        targets: Mapping[str, Watched],
        clock: Clock,
        interval_s: float,
        life: Callable[[LogStatus], Awaitable[LifeSigns]] | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        """Create the poller.

        Args:
            status_reader: Reads the status of log and targets.
            targets: The targets, by their names.
            clock: Dates what is seen.
            interval_s: Time between two looks, in seconds.
            life: Reads which processes run; None: they are not reported.
            timeout_s: Time for the log and for each target to answer, in seconds.
        """
        self._patience = Patience(timeout_s)
        self._read_life = life
        self._status_reader = status_reader
        self._targets = targets
        self._clock = clock
        self._interval_s = interval_s
        self._looking = asyncio.Lock()
        self.log: LogStatus | None = None
        self.log_failure: Failure | None = None
        self.seen: dict[str, Seen] = {}
        self.failures: dict[str, Failure] = {}
        self.life: LifeSigns | None = None
        self.changes = 0
        """Number of changes of what was seen: an answer stays right until the next one."""

    @property
    def names(self) -> Sequence[str]:
        """The targets that are looked at, sorted."""
        return sorted(self._targets)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set."""
        while not stop.is_set():
            await unless(stop, self.look())
            await pause(stop, self._interval_s)

    async def look(self) -> None:
        """Look once at everything that can be reached; a second look waits for the first.

        Targets are looked at side by side: one that hangs holds up no news of the others.
        """
        async with self._looking:
            await self._look()

    async def _look(self) -> None:
        try:
            log = await self._patience.answer("the log", self._look_at_log)
        except ReplicatorError as exc:
            # A target is judged by the log's end: without that its last status stays, with its
            # time.
            self.log_failure = self._failed(self.log_failure, exc)
            self.changes += 1
            return
        self.log_failure = None
        self.changes += 1
        await self._patience.targets(self._targets, partial(self._look_at, log), self._fail)

    async def _look_at_log(self) -> LogStatus:
        self.log = log = await self._status_reader.log()
        self.changes += 1
        if self._read_life is not None:
            self.life = await self._read_life(log)
        return log

    async def _look_at(self, log: LogStatus, name: str) -> None:
        watched = self._targets[name]
        status = await self._status_reader.target(
            name,
            metadata=watched.metadata,
            area=watched.area,
            log=log,
            promises=watched.promises,
            witness=watched.witness,
        )
        self.failures.pop(name, None)
        self.seen[name] = Seen(at=self._clock.now(), status=status)
        self.changes += 1

    def _fail(self, name: str, error: ReplicatorError) -> None:
        self.failures[name] = self._failed(self.failures.get(name), error)
        self.changes += 1

    def _failed(self, before: Failure | None, error: ReplicatorError) -> Failure:
        return Failure(since=before.since if before else self._clock.now(), error=error)
