"""Heartbeat of a long-running process, from which `status` tells whether it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

WATCH = "watch"
"""Name under which the watcher's heartbeat is kept."""


def apply_to(target: str) -> str:
    """Return whose pulse that of a target's applier is."""
    return f"apply.{target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """Who it is, and when it was last well."""

    verb: str
    """`run`, `watch` or `apply`."""
    host: str
    pid: int
    since: datetime
    seen_at: datetime
    """Time of the heartbeat."""
    every: timedelta
    """Time between two heartbeats."""
    done_at: datetime | None = None
    """When its work last went on: the source answered, a cut or a segment came, nothing was due."""
    polls: int = 0
    """Polls of the source that this process has ended."""
    waits: str = ""
    """What the process waits for, after an error that may pass; empty if it does not wait."""
    ended_at: datetime | None = None
    """When the process ended as it was told to; None if it did not."""

    def is_heard(self, now: datetime, *, missed_max: int = 3) -> bool:
        """Return whether it goes on, as far as one can know: it has missed few of its times."""
        return self.ended_at is None and now - self.seen_at <= missed_max * self.every

    def stopped(self, at: datetime) -> "Pulse":
        """Return its last word."""
        return replace(self, ended_at=at, seen_at=at)


def pulse_json(pulse: Pulse) -> bytes:
    """Return a pulse as it is kept; fields are only added."""
    return orjson.dumps(
        {
            "verb": pulse.verb,
            "host": pulse.host,
            "pid": pulse.pid,
            "since": pulse.since,
            "seen_at": pulse.seen_at,
            "every_s": pulse.every.total_seconds(),
            "done_at": pulse.done_at,
            "polls": pulse.polls,
            "waits": pulse.waits,
            "ended_at": pulse.ended_at,
        }
    )


def pulse_of(data: bytes) -> Pulse | None:
    """Return what `pulse_json` has kept; None: it is damaged, and the next one comes soon."""
    try:
        found = orjson.loads(data)
        return Pulse(
            verb=str(found["verb"]),
            host=str(found["host"]),
            pid=int(found["pid"]),
            since=datetime.fromisoformat(found["since"]),
            seen_at=datetime.fromisoformat(found["seen_at"]),
            every=timedelta(seconds=float(found["every_s"])),
            done_at=_time(found, "done_at"),
            polls=int(found.get("polls") or 0),
            waits=str(found.get("waits") or ""),
            ended_at=_time(found, "ended_at"),
        )
    except (ValueError, TypeError, KeyError):
        return None


def _time(found: Mapping[str, Any], name: str) -> datetime | None:
    return datetime.fromisoformat(found[name]) if found.get(name) else None
