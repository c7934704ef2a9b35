"""The journal of notifications, and who hands them to an address."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from replicator.model.operations.notification import Condition, Notification


class DeliveryState(StrEnum):
    """State of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Given up; an operator can have it sent again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notification on its way to one webhook."""

    number: int
    """Its place in the order of the journal."""
    webhook: str
    id: str
    type: str
    body: bytes
    made_at: datetime
    attempts: int
    """Attempts that have failed."""
    state: DeliveryState
    next_at: datetime
    """Not before then it is tried again; for what is delivered, the time of that."""
    error: str
    """Why the last attempt failed; empty: none has."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The changes by one look."""

    conditions: Sequence[Condition]
    """All that are to be remembered; the others are forgotten."""
    notifications: Sequence[tuple[Notification, Sequence[str]]]
    """New notifications, with their webhooks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueLength:
    """How many deliveries of a webhook are in each state."""

    waiting: int
    dead: int
    error: str = ""
    """Error of the first waiting delivery, otherwise of the last dead one; empty: neither."""


class Journal(Protocol):
    """Conditions, notifications and deliveries; the journal survives a loss of power.

    Several processes may share one. Every call raises TransientError when the journal cannot be
    read or written (a full disk), and ConfigError when this process may not.
    """

    async def decide(self, decide: Callable[[Mapping[str, Condition]], Decision]) -> None:
        """Give all conditions by their subjects to `decide`, and keep its decision.

        Both are one transaction: of two processes that see the same change, one tells it. Of a
        webhook that has more than its limit waiting, the oldest are given up.
        """
        ...

    async def claim(
        self, webhook: str, *, now: datetime, until: datetime, latest: datetime
    ) -> Delivery | None:
        """Return the oldest delivery of a webhook that is due, for this process alone.

        None as long as the oldest is not due or claimed by a process that may be sending it.
        No wait and no claim ends after `latest`: one that does is of a clock that was put back
        since, and over.
        """
        ...

    async def delivered(self, number: int, *, at: datetime) -> None:
        """Note that a delivery has arrived; some of the latest are kept for operators."""
        ...

    async def failed(self, number: int, *, error: str, next_at: datetime | None) -> None:
        """Note that an attempt has failed; `next_at` None: it is given up."""
        ...

    async def listed(self, state: DeliveryState | None = None) -> Sequence[Delivery]:
        """Return deliveries, oldest first; None: of all states."""
        ...

    async def send_again(self, ids: Sequence[str] | None) -> int:
        """Let dead deliveries wait again, those of these notifications or all; return how many."""
        ...

    async def lengths(self) -> Mapping[str, QueueLength]:
        """Return how many deliveries of each webhook wait or are dead; it changes nothing."""
        ...


class Caller(Protocol):
    """Sends one request to an address of the configuration."""

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        """Send a body and return once the receiver has accepted it (status 200 to 299).

        Redirects are not followed: only the configuration chooses where secrets go.

        Raises:
            TransientError: no answer in time, or any other answer, with the wait that it asks for;
                the message never has the URL, which may be a secret, but its host.
            ConfigError: the certificate is not trusted.
        """
        ...
