"""Delivers one webhook's notifications in their order, each until it has arrived or is dead."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random

from replicator.errors import ConfigError, CorruptionError, TransientError
from replicator.model.observation import NotificationSent, Observer
from replicator.model.observed.faults import Waiting
from replicator.model.operations.notification import key_of, signed_headers
from replicator.model.operations.retry import RetryPolicy
from replicator.ports import Clock
from replicator.ports.notifications import Caller, Delivery, Journal
from replicator.services.running.pause import pause

LOOK_S = 5.0
"""Seconds between two looks into the journal: another process may have recorded something."""
CLAIM_MARGIN_S = 30.0
"""Seconds beyond the request's own limit for which no other process sends the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A receiver of notifications."""

    name: str
    caller: Caller
    secret: Callable[[], str]
    """Returns the signing secret: a file that holds it may have changed.

    Raises:
        ConfigError: the secret cannot be read.
    """
    timeout_s: float
    """Longest wait for an answer of its `caller`."""


class Sender:
    """One webhook's deliveries.

    The oldest one is sent until it has arrived or is given up, then the next one: a receiver hears
    that something broke before it hears that it works again.
    """

    def __init__(
        self,
        webhook: Webhook,
        journal: Journal,
        *,
        retry: RetryPolicy,
        clock: Clock,
        rng: Random,
        observer: Observer,
    ) -> None:
        self._webhook, self._journal, self._retry = webhook, journal, retry
        self._clock, self._rng, self._observer = clock, rng, observer

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set; a request that is under way is finished."""
        while not stop.is_set():
            try:
                found = await self.send_next()
            except (TransientError, ConfigError, CorruptionError) as exc:
                what = f"read the notifications for {self._webhook.name}"
                self._observer(Waiting(what=what, reason=str(exc), delay_s=LOOK_S))
                found = False
            if not found:
                await pause(stop, LOOK_S)

    async def send_next(self) -> bool:
        """Send the oldest delivery that is due; return whether there was one that arrived."""
        now = self._clock.now()
        until = now + timedelta(seconds=self._webhook.timeout_s + CLAIM_MARGIN_S)
        latest = max(until, now + timedelta(seconds=self._retry.delay_max_s))
        delivery = await self._journal.claim(
            self._webhook.name, now=now, until=until, latest=latest
        )
        if delivery is None:
            return False
        try:
            await self._send(delivery)
        except (TransientError, ConfigError) as exc:
            retry_after_s = exc.retry_after_s if isinstance(exc, TransientError) else None
            await self._failed(delivery, str(exc), retry_after_s=retry_after_s or 0.0)
            return False
        await self._journal.delivered(delivery.number, at=self._clock.now())
        self._tell(delivery, error="", is_dead=False)
        return True

    async def _send(self, delivery: Delivery) -> None:
        key = key_of(self._webhook.secret())
        headers = signed_headers(key, delivery.id, self._clock.now(), delivery.body)
        await self._webhook.caller.post(
            delivery.body, {"Content-Type": "application/json", **headers}
        )

    async def _failed(self, delivery: Delivery, error: str, *, retry_after_s: float) -> None:
        """Note a failed attempt; the next waits as long as the receiver asks, up to a limit."""
        failures = delivery.attempts + 1
        is_dead = failures >= self._retry.attempts_max
        own_s = self._retry.delay_s(delivery.attempts, self._rng)
        delay = timedelta(seconds=max(own_s, min(retry_after_s, self._retry.delay_max_s)))
        next_at = None if is_dead else self._clock.now() + delay
        await self._journal.failed(delivery.number, error=error, next_at=next_at)
        self._tell(delivery, error=error, is_dead=is_dead)

    def _tell(self, delivery: Delivery, *, error: str, is_dead: bool) -> None:
        self._observer(
            NotificationSent(
                webhook=self._webhook.name,
                id=delivery.id,
                type=delivery.type,
                error=error,
                is_dead=is_dead,
            )
        )
