"""Looks at log and targets at intervals, and records what to notify."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from uuid import UUID

from replicator.errors import ConfigError, CorruptionError, TransientError
from replicator.model.observation import NotificationsQueued, Observer
from replicator.model.observed.faults import Waiting
from replicator.model.operations.notification import (
    TEST,
    Condition,
    Notification,
    Sighting,
    Topic,
    judged,
)
from replicator.ports import Clock
from replicator.ports.notifications import Decision, Journal, QueueLength
from replicator.services.monitoring.poller import Poller
from replicator.services.notifications.sightings import halted, sightings
from replicator.services.running.pause import pause, unless

SETTLING = frozenset({Topic.PROMISE, Topic.STATUS})
"""Topics that may flap; the others tell of events."""
FRESH_LOOKS = 3
"""Number of missed looks after which it is unknown whether all is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchRules:
    """Which webhook is notified of what, and when."""

    source: str
    """Name of the source, for receivers."""
    webhooks: Mapping[str, Collection[str]]
    """Names of the webhooks, and the topics of each."""
    settle: timedelta
    """How long a promise must be broken, or kept again, before it is notified."""
    interval_s: float
    """Seconds between two looks."""


class PromiseWatch:
    """Records each change once, in the journal that the senders deliver from.

    Args:
        rules: Which webhook is notified of what.
        poller: Looks at log and targets.
        journal: What was seen and notified before.
        clock: Clock that dates notifications.
        rng: Source of ids.
        observer: Receives failures to write the journal.
    """

    def __init__(
        self,
        rules: WatchRules,
        poller: Poller,
        journal: Journal,
        *,
        clock: Clock,
        rng: Random,
        observer: Observer,
    ) -> None:
        self._rules, self._poller, self._journal = rules, poller, journal
        self._clock, self._rng, self._observer = clock, rng, observer
        self._unrecorded: list[Sighting] = []
        self._others: list[Callable[[], Iterable[Sighting]]] = []
        # Before its first look it does not know that all is well.
        self._recorded_at = clock.now() - timedelta(days=1)

    def watch_too(self, look: Callable[[], Iterable[Sighting]]) -> None:
        """Tell what `look` finds, too: it must not block, and need say nothing twice."""
        self._others.append(look)

    async def run(self, stop: asyncio.Event) -> None:
        """Look until `stop` is set."""
        while not stop.is_set():
            await unless(stop, self._poller.look())
            if not stop.is_set():
                await self._record()
            await pause(stop, self._rules.interval_s)

    async def look(self) -> None:
        """Look once, and record what to notify."""
        await self._poller.look()
        await self._record()

    async def _record(self) -> None:
        for look in self._others:
            self._unrecorded += look()
        found = [*sightings(self._poller), *self._unrecorded]
        try:
            await self._journal.decide(lambda before: self._decided(before, found))
            # Only now: what the journal did not take is recorded by the next look.
            self._unrecorded.clear()
            await self._count()
        except (TransientError, ConfigError, CorruptionError) as exc:
            what = "record what is to be notified"
            self._observer(Waiting(what=what, reason=str(exc), delay_s=self._rules.interval_s))
            return
        self._recorded_at = self._clock.now()

    @property
    def is_well(self) -> bool:
        """Whether a recent look has found all promises kept."""
        poller, age = self._poller, abs(self._clock.now() - self._recorded_at)
        if age > timedelta(seconds=FRESH_LOOKS * self._rules.interval_s):
            return False
        if poller.log_failure is not None or poller.failures or poller.log is None:
            return False
        statuses = [seen.status for seen in poller.seen.values()]
        life = poller.life
        if life is not None and (life.is_overdue(statuses) or any(halted(life).values())):
            return False
        return all(status.keeps_promise for status in statuses)

    async def test(self, webhook: str) -> Notification:
        """Record a test notification for one webhook."""
        notification = self._notification(
            TEST,
            Sighting(
                topic=Topic.STATUS,
                target=None,
                name=webhook,
                is_bad=False,
                summary=f"a test of the webhook {webhook}",
            ),
        )
        await self._journal.decide(
            lambda before: Decision(list(before.values()), [(notification, [webhook])])
        )
        return notification

    async def _count(self) -> None:
        lengths = await self._journal.lengths()
        for name in self._rules.webhooks:
            length = lengths.get(name, QueueLength(waiting=0, dead=0))
            self._observer(
                NotificationsQueued(webhook=name, waiting=length.waiting, dead=length.dead)
            )

    def _decided(self, before: Mapping[str, Condition], found: Sequence[Sighting]) -> Decision:
        now = self._clock.now()
        after, sent = dict(before), list[tuple[Notification, Sequence[str]]]()
        for sighting in found:
            settle = self._rules.settle if sighting.topic in SETTLING else timedelta(0)
            condition, type_ = judged(after.get(sighting.subject), sighting, now=now, settle=settle)
            after[sighting.subject] = condition
            if type_ is not None:
                sent.append((self._notification(type_, sighting), self._hearing(sighting.topic)))
        known = {None, *self._poller.names}
        # A target that was taken out of the configuration would be bad for ever.
        kept = [one for one in after.values() if _target_of(one) in known]
        return Decision(kept, sent)

    def _hearing(self, topic: Topic) -> list[str]:
        return [name for name, topics in self._rules.webhooks.items() if topic in topics]

    def _notification(self, type_: str, sighting: Sighting) -> Notification:
        return Notification(
            id=str(UUID(int=self._rng.getrandbits(128), version=4)),
            type=type_,
            at=self._clock.now(),
            source=self._rules.source,
            target=sighting.target,
            name=sighting.name,
            summary=sighting.summary,
            details=sighting.details,
        )


def _target_of(condition: Condition) -> str | None:
    return condition.subject.split("/")[1] or None
