"""Heartbeats: a watcher or an applier regularly shows that it is running."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

from replicator.errors import NotFoundError, ReplicatorError, TransientError
from replicator.model.observation import (
    CutApplied,
    Followed,
    Muted,
    ObjectCopied,
    Observation,
    Observer,
    Polled,
    Progress,
    StreamBegun,
    StreamDropped,
    StreamEnded,
    StreamFollowed,
    StreamRetained,
)
from replicator.model.observed.faults import Halted, Waiting, WentOn
from replicator.model.operations.pulse import (
    BEAT_S,
    HaltedService,
    Pulse,
    StreamPulse,
    pulse_json,
    pulse_of,
)
from replicator.ports import Clock, Pulses
from replicator.services.running.pause import pause

NO_LOG_YET_S = 0.5
"""Seconds until the next try while there is no log: the watcher is about to create it."""


class Heart:
    """Writes heartbeats next to a service, whose observations show whether its work continues.

    A log that is unreachable, or denies heartbeats, does not stop the work: this is reported once.
    """

    def __init__(
        self,
        pulses: Pulses,
        who: str,
        *,
        pulse: Pulse,
        clock: Clock,
        observer: Observer,
        unlogged: Callable[[], str] = lambda: "",
    ) -> None:
        """Take the first heartbeat, and what says why log lines cannot be written."""
        self._pulses, self._who, self._unlogged = pulses, who, unlogged
        self._pulse, self._clock, self._observer = pulse, clock, observer
        self._is_muted = False
        self._done_at, self._waits, self._polls = pulse.done_at, pulse.waits, pulse.polls
        self._stream = pulse.stream
        self._halts: dict[str, HaltedService] = {}

    def observe(self, observation: Observation) -> None:
        """Note from an observation whether the work continues."""
        self._polls += _is_poll(observation)
        self._note_stream(observation)
        match observation:
            case (
                Polled()
                | StreamFollowed()
                | Followed()
                | CutApplied()
                | ObjectCopied()
                | Progress()
            ):
                self._done_at, self._waits = self._clock.now(), ""
            case Waiting(reason=reason):
                self._waits = reason
            case Halted(what=what):
                self._halts[what] = self._halt(observation)
            case WentOn(what=what):
                self._halts.pop(what, None)
            case _:
                pass

    def _halt(self, halted: Halted) -> HaltedService:
        before = self._halts.get(halted.what)
        return HaltedService(
            what=halted.what,
            reason=halted.reason,
            hint=halted.hint,
            exit_code=halted.exit_code,
            since=self._clock.now() if before is None else before.since,
            retry=timedelta(seconds=halted.retry_s),
        )

    def _note_stream(self, observation: Observation) -> None:
        now = self._clock.now()
        before = self._stream or StreamPulse(since=now)
        match observation:
            case StreamBegun():
                self._stream = replace(before, since=now, off="")
            case StreamEnded(reason=reason):
                since = before.since if before.off else now
                self._stream = replace(before, since=since, off=reason)
            case StreamDropped():
                self._stream = replace(before, retained_bytes=0)
            case StreamRetained(bytes=retained, bytes_max=bytes_max):
                self._stream = replace(
                    before, retained_bytes=retained, retained_bytes_max=bytes_max
                )
            case StreamFollowed():
                self._stream = replace(
                    before,
                    told_until=observation.told_until or before.told_until,
                    behind_bytes=observation.behind_bytes,
                    retained_bytes=observation.retained_bytes,
                    retained_bytes_max=observation.retained_bytes_max,
                )
            case _:
                pass

    async def run(self, stop: asyncio.Event) -> None:
        """Write heartbeats until `stop` is set, and one more at the end."""
        while not stop.is_set():
            was_said = await self.beat()
            await pause(stop, BEAT_S if was_said else NO_LOG_YET_S)
        await self.end()

    async def beat(self) -> bool:
        """Write a heartbeat; return whether there was a log to write it to."""
        return await self._say(self.pulse)

    async def end(self) -> None:
        """Write a last heartbeat: the process ends as requested.

        The heartbeat of another process that continues stays: `apply --resume --once` runs beside a
        `run`, which takes the target up again.
        """
        if not await self._another_runs():
            await self._say(self.pulse.stopped(self._clock.now()))

    async def _another_runs(self) -> bool:
        try:
            said = await self._pulses.heard(self._who)
        except ReplicatorError:
            return False
        other = None if said is None else pulse_of(said)
        return (
            other is not None and not other.is_of(self.pulse) and other.is_heard(self._clock.now())
        )

    @property
    def pulse(self) -> Pulse:
        """The contents of a heartbeat now."""
        before = self._pulse
        return Pulse(
            verb=before.verb,
            host=before.host,
            pid=before.pid,
            since=before.since,
            seen_at=self._clock.now(),
            every=timedelta(seconds=BEAT_S),
            done_at=self._done_at,
            polls=self._polls,
            waits=self._waits,
            halts=tuple(self._halts.values()),
            stream=self._stream,
            unlogged=self._unlogged(),
        )

    async def _say(self, pulse: Pulse) -> bool:
        try:
            await self._pulses.beat(self._who, pulse_json(pulse))
        except NotFoundError:
            return False
        except TransientError:
            pass  # the service itself reports that the log is unreachable
        except ReplicatorError as exc:
            if not self._is_muted:
                self._is_muted = True
                self._observer(Muted(who=self._who, reason=str(exc)))
        return True


def _is_poll(observation: Observation) -> bool:
    """Return whether the log has all that the source held when a look at it began."""
    match observation:
        case Polled():
            return True
        case StreamFollowed(told_until=told_until):
            return told_until is not None
        case _:
            return False
