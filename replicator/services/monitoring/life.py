"""Which processes are running: the last heartbeats of watcher and appliers, and their age."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from replicator.errors import RefusedError, ReplicatorError
from replicator.model.operations.pulse import (
    MISSED_MAX,
    WATCH,
    Pulse,
    StreamPulse,
    apply_to,
    pulse_of,
)
from replicator.model.operations.words import age_text, duration_text
from replicator.ports import Clock, Pulses
from replicator.services.monitoring.status import LogStatus, TargetStatus
from replicator.services.running.change_watch import ChangeWatch


class Life(Enum):
    """State of a watcher or an applier."""

    RUNNING = "running"
    STOPPED = "stopped"
    """It was stopped on request."""
    SILENT = "silent"
    """It went silent without ending: it was killed, or its machine or log is unreachable."""
    UNKNOWN = "unknown"
    """There was never a heartbeat here, or the log cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeSign:
    """The sign of life of one watcher or applier."""

    pulse: Pulse | None
    life: Life
    unknown: str = ""
    """Why the heartbeat cannot be read; empty if it can."""

    @property
    def is_away(self) -> bool:
        """Whether a process that should be running is not."""
        is_missed = self.pulse is not None and self.pulse.goes_on
        return is_missed and self.life in {Life.STOPPED, Life.SILENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeSigns:
    """The signs of life of all processes that a configuration names."""

    looked_at: datetime
    watcher: LifeSign
    appliers: Mapping[str, LifeSign]
    last_poll: datetime | None
    """When the source last answered, by the watcher's heartbeat or the log's last cut."""

    @property
    def unpolled(self) -> timedelta | None:
        """How long ago the source last answered; None if it never did."""
        return None if self.last_poll is None else self.looked_at - self.last_poll

    @property
    def stream(self) -> StreamPulse | None:
        """A running watcher's report about its change stream; None without either."""
        if self.watcher.pulse is None or self.watcher.life is not Life.RUNNING:
            return None
        return self.watcher.pulse.stream

    @property
    def is_starting(self) -> bool:
        """Whether a watcher runs that has not polled yet."""
        pulse = self.watcher.pulse
        return self.watcher.life is Life.RUNNING and pulse is not None and pulse.done_at is None

    def is_overdue(self, targets: Sequence[TargetStatus]) -> bool:
        """Return whether the last poll is older than any target's promise allows.

        A promoted target needs no source any more.
        """
        left = self.left(targets)
        return left is not None and left < timedelta(0)

    def left(self, targets: Sequence[TargetStatus]) -> timedelta | None:
        """Return the time until the first promise breaks by silence; None: no target needs polls.

        The first watcher ever has that time from its start.
        """
        least = min((one.promises.silence for one in targets if _needs_source(one)), default=None)
        if least is None:
            return None
        begun = self.last_poll
        if begun is None and self.is_starting and self.watcher.pulse is not None:
            begun = self.watcher.pulse.since
        return timedelta.min if begun is None else least - (self.looked_at - begun)


def _needs_source(target: TargetStatus) -> bool:
    return target.checkpoint is None or not target.checkpoint.promoted


class Ear:
    """Reads heartbeats, and judges heartbeats of a clock that is ahead by whether they change.

    Args:
        pulses: Where the heartbeats are kept.
        clock: Clock by which heartbeats are judged.
        own: Returns this process's own heartbeat, which counts if none can be read: the log is
            about to be created, or unreachable.
        is_gone: Returns whether the process of a heartbeat is known to have ended.
    """

    def __init__(
        self,
        pulses: Pulses,
        clock: Clock,
        *,
        own: Callable[[str], Pulse | None] = lambda _: None,
        is_gone: Callable[[Pulse], bool] = lambda _: False,
    ) -> None:
        self._pulses, self._clock, self._own, self._is_gone = pulses, clock, own, is_gone
        self._changes = ChangeWatch(pulses)

    async def life_signs(
        self, targets: Sequence[str], log: LogStatus | None, *, is_patient: bool = False
    ) -> LifeSigns:
        """Read the signs of life of the watcher and of each target's applier.

        The first reading of a heartbeat whose clock is ahead takes some seconds.

        Args:
            targets: Names of the targets.
            log: The log as it was seen, with the time of its last cut.
            is_patient: Whether silent processes are watched for some seconds, too, before something
                is done that ends a living one: this reader's own clock may be ahead.
        """
        names = [WATCH, *map(apply_to, targets)]
        signs = {who: await self._sign(who) for who in names}
        ahead = {
            who: heartbeat
            for who, (heartbeat, sign) in signs.items()
            if heartbeat is not None and self._is_doubtful(sign, is_patient=is_patient)
        }
        changed = await self._changes.changed(ahead)
        found = {who: sign for who, (_, sign) in signs.items()}
        found |= {who: self._judged(found[who], is_heard=who in changed) for who in ahead}
        watcher = found[WATCH]
        polls = [
            watcher.pulse.done_at if watcher.pulse else None,
            log.last.closed.source_time if log and log.last else None,
        ]
        return LifeSigns(
            looked_at=self._now,
            watcher=watcher,
            appliers={name: found[apply_to(name)] for name in targets},
            last_poll=max((time for time in polls if time is not None), default=None),
        )

    def _is_doubtful(self, sign: LifeSign, *, is_patient: bool) -> bool:
        """Return whether only a newer heartbeat can tell that the process runs."""
        pulse = sign.pulse
        if pulse is None or not is_patient or sign.life is not Life.SILENT:
            return pulse is not None and pulse.is_ahead(self._now)
        return pulse.goes_on and not self._is_gone(pulse)

    @property
    def _now(self) -> datetime:
        return self._clock.now()

    async def _sign(self, who: str) -> tuple[bytes | None, LifeSign]:
        unknown, heartbeat = "", None
        try:
            heartbeat = await self._pulses.heard(who)
        except ReplicatorError as exc:
            unknown = str(exc)
        pulse = self._own(who) if heartbeat is None else pulse_of(heartbeat)
        if pulse is None and unknown:
            return heartbeat, LifeSign(pulse=None, life=Life.UNKNOWN, unknown=unknown)
        return heartbeat, LifeSign(pulse=pulse, life=_life(pulse, self._now))

    def _judged(self, sign: LifeSign, *, is_heard: bool) -> LifeSign:
        assert sign.pulse is not None  # noqa: S101 - it is ahead
        if is_heard:
            return replace(sign, pulse=sign.pulse.heard_at(self._now), life=Life.RUNNING)
        return replace(sign, pulse=sign.pulse.not_after(self._now), life=Life.SILENT)


def at_work(
    life: LifeSigns, who: Sequence[str], *, host: str, is_alive: Callable[[int], bool]
) -> list[Pulse]:
    """Return the other processes that do some work and continue until they are stopped.

    A dead process of this machine does not count, whatever its last heartbeat: a start after a kill
    continues.

    Args:
        life: The signs of life.
        who: The work, by `model/operations/pulse.py`.
        host: Name of this machine.
        is_alive: Returns whether this machine has a process with a number.
    """
    signs = {WATCH: life.watcher} | {apply_to(name): one for name, one in life.appliers.items()}
    found: dict[tuple[str, int], Pulse] = {}
    for name in who:
        sign = signs.get(name)
        pulse = None if sign is None or sign.life is not Life.RUNNING else sign.pulse
        if pulse is None or not pulse.goes_on:
            continue
        if pulse.host != host or is_alive(pulse.pid):
            found.setdefault((pulse.host, pulse.pid), pulse)
    return list(found.values())


def refuse_beside(life: LifeSigns, doing: str) -> None:
    """Refuse what must not be done while watcher or appliers run.

    Raises:
        RefusedError: one of them runs, as far as is known; the message names the process to stop.
    """
    for sign in (life.watcher, *life.appliers.values()):
        pulse = sign.pulse
        if pulse is None or sign.life is not Life.RUNNING:
            continue
        seen = age_text(life.looked_at - pulse.seen_at)
        raise RefusedError(
            f"nothing was changed: {pulse.process}, is running, it was seen {seen};"
            f" {doing} must not be done beside it",
            hint="stop it, then run the command again; one that was killed is believed to be gone"
            f" {duration_text(MISSED_MAX * pulse.every)} after its last heartbeat",
        )


def _life(pulse: Pulse | None, now: datetime) -> Life:
    if pulse is None:
        return Life.UNKNOWN
    if pulse.ended_at is not None:
        return Life.STOPPED
    return Life.RUNNING if pulse.is_heard(now) else Life.SILENT
