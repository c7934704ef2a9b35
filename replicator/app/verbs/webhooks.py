"""Deliveries to the configured webhooks, as far as this machine knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from replicator.app.application import Application
    from replicator.services.notifications.queues import WebhookQueue


async def webhook_queues(application: Application) -> Sequence[WebhookQueue]:
    """Return what is on its way to each webhook; nothing where none is configured."""
    notifications = application.settings.notifications
    if notifications is None or not notifications.webhooks:
        return []
    return await application.notifying().queues()
