"""Notifications on their way to webhooks, for `notifications list --json` and the API."""

from contextlib import suppress
from typing import Any

import orjson

from replicator.ports.notifications import Delivery


def delivery_json(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery with its message."""
    message = dict[str, Any]()
    with suppress(orjson.JSONDecodeError):  # a body of another release is shown without
        message = orjson.loads(delivery.body)
    return {
        "id": delivery.id,
        "webhook": delivery.webhook,
        "type": delivery.type,
        "target": message.get("target"),
        "summary": str(message.get("summary", "")),
        "made_at": delivery.made_at,
        "state": delivery.state.value,
        "attempts": delivery.attempts,
        "next_at": delivery.next_at,
        "error": delivery.error,
    }
