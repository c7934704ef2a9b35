"""Notifications: messages to operators' own addresses, one for each change.

A watch looks at promises, gaps, drills and jobs again and again. `judged` compares a look with what
was reported before and decides whether there is something to report, so that neither a restart nor
a second process reports anything twice, and a flapping promise reports nothing.

Signatures follow Standard Webhooks 1.0 (https://www.standardwebhooks.com), whose libraries
check it in many languages.
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any

import orjson

from replicator.errors import ConfigError

SCHEMA = "replicator.notification.v1"
TEXT_MAX = 500
"""Longest summary or detail, in characters."""
NAMED_MAX = 10
"""Number of gaps or jobs that one notification names; it counts all of them."""
KEY_BYTES_MIN = 16
_BASE64 = "whsec_"


class Topic(StrEnum):
    """Subject of a notification; webhooks choose by it."""

    PROMISE = "promise"
    GAP = "gap"
    DRILL = "drill"
    JOB = "job"
    STATUS = "status"


BAD_AND_GOOD: Mapping[Topic, tuple[str, str]] = {
    Topic.PROMISE: ("promise.broken", "promise.kept"),
    Topic.GAP: ("gap.opened", "gap.closed"),
    Topic.DRILL: ("drill.failed", "drill.succeeded"),
    Topic.JOB: ("job.failed", "job.succeeded"),
    Topic.STATUS: ("status.lost", "status.found"),
}
"""Types of each topic's notifications: when something turns bad, and when it is good again."""
TEST = "test"
"""Type of a notification that an operator sends by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """One condition as a look has found it."""

    topic: Topic
    target: str | None
    name: str
    """Name of the promise, job and so on; with topic and target it identifies one condition."""
    is_bad: bool
    mark: int = 0
    """Number that grows with each occurrence of something bad, like a further gap; 0: none."""
    summary: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """Name of the condition."""
        return f"{self.topic}/{self.target or ''}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """What is remembered of a condition."""

    subject: str
    is_bad: bool
    """State at the last look."""
    since: datetime
    reported_bad: bool = False
    """Whether the last notification reported it as bad; without one it counts as good."""
    reported_mark: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message for operators."""

    id: str
    """Unique id, which a repeated delivery has again."""
    type: str
    at: datetime
    source: str
    target: str | None
    name: str
    summary: str
    details: Mapping[str, Any]

    @property
    def topic(self) -> str:
        """Topic by which webhooks choose."""
        return self.type.partition(".")[0]


def judged(
    before: Condition | None, sighting: Sighting, *, now: datetime, settle: timedelta
) -> tuple[Condition, str | None]:
    """Return the condition to remember, and the type of the notification, if there is one.

    Laws (tests/unit/model/operations/test_notification.py): notifications alternate between bad and
    good, except for new occurrences; a repeated look reports nothing; a state that lasts for less
    than `settle` is not reported.

    Args:
        before: The remembered condition; None: there is none, and nothing bad was reported.
        sighting: Result of the look.
        now: Time of the look.
        settle: Time for which a state must last before it is reported.
    """
    is_bad = sighting.is_bad
    if before is None:
        before = Condition(subject=sighting.subject, is_bad=is_bad, since=now)
    # the time is of a clock that was ahead and set back since: it must not settle until then
    since = min(before.since, now) if before.is_bad is is_bad else now
    after = replace(before, is_bad=is_bad, since=since)
    bad, good = BAD_AND_GOOD[sighting.topic]
    if now - since < settle:
        return after, None
    if is_bad and (not before.reported_bad or sighting.mark > before.reported_mark):
        return replace(
            after, reported_bad=True, reported_mark=max(sighting.mark, before.reported_mark)
        ), bad
    if not is_bad and before.reported_bad:
        return replace(after, reported_bad=False), good
    return after, None


def body_of(notification: Notification) -> bytes:
    """Return a notification as it is sent; members are only added."""
    return orjson.dumps(
        {
            "schema": SCHEMA,
            "id": notification.id,
            "type": notification.type,
            "timestamp": notification.at,
            "source": notification.source,
            "target": notification.target,
            "name": notification.name,
            "summary": notification.summary[:TEXT_MAX],
            "details": notification.details,
        },
        default=str,
    )


def key_of(secret: str) -> bytes:
    """Return the key of a secret: base64 after `whsec_`, otherwise the secret's own bytes.

    Raises:
        ConfigError: the key is too short to protect anything, or not base64.
    """
    try:
        plain = not secret.startswith(_BASE64)
        key = secret.encode() if plain else b64decode(secret[len(_BASE64) :], validate=True)
    except Base64Error:
        raise ConfigError("the secret of a webhook is no base64 after `whsec_`") from None
    if len(key) < KEY_BYTES_MIN:
        raise ConfigError(
            f"the secret of a webhook has {len(key)} bytes, and needs {KEY_BYTES_MIN} at least",
            hint="make one: `openssl rand -base64 32`",
        )
    return key


def signed_headers(key: bytes, id_: str, at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that show the sender of a body, and the time.

    The receiver computes the same over `id.timestamp.body` and refuses an old timestamp.
    """
    timestamp = str(int(at.timestamp()))
    signed = hmac.new(key, b".".join([id_.encode(), timestamp.encode(), body]), sha256)
    return {
        "webhook-id": id_,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{b64encode(signed.digest()).decode()}",
    }
