"""What is on its way to each webhook, for those who look."""

from collections.abc import Iterable
from dataclasses import dataclass

from replicator.errors import ConfigError, CorruptionError, TransientError
from replicator.ports.notifications import Journal, QueueLength


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookQueue:
    """Waiting and undelivered notifications of one webhook."""

    webhook: str
    length: QueueLength
    unknown: str = ""
    """Why the journal cannot be read; empty: it can."""


async def webhook_queues(journal: Journal, names: Iterable[str]) -> list[WebhookQueue]:
    """Read the queues of these webhooks, in order of their names."""
    nothing, unknown = QueueLength(waiting=0, dead=0), ""
    try:
        lengths = await journal.lengths()
    except (TransientError, ConfigError, CorruptionError) as exc:
        lengths, unknown = {}, str(exc)
    return [
        WebhookQueue(webhook=name, length=lengths.get(name, nothing), unknown=unknown)
        for name in sorted(names)
    ]
