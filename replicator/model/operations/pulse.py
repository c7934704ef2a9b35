"""Heartbeat of a long-running process, from which `status` tells whether it runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from replicator.model.document import INT_MAX, parsed
from replicator.model.timestamps import time_of

WATCH = "watch"
"""Name of the watcher's heartbeat."""
BEAT_S = 5.0
"""Seconds between two heartbeats."""
MISSED_MAX = 3
"""Number of heartbeats that a running process may miss."""
EVERY_MAX = timedelta(days=1)
"""Longest time between two heartbeats that a process can say; times are reckoned with it."""
BYTES_MAX = 4000
"""Size of a heartbeat. Kafka's brokers take 4096 bytes (offset.metadata.max.bytes), and no longer
error may keep a process that works from being heard."""
_TEXTS_BYTES = (1000, 300, 100, 20)
"""To how many bytes each text is shortened, in turn, until a heartbeat is small enough."""
_VERB = re.compile(r"[a-z]+(?: (?:--)?[a-z-]+)*", re.ASCII)
ONCE = " --once"
"""Suffix of the verb of a process that ends by itself."""


def apply_to(target: str) -> str:
    """Return the name of the heartbeat of a target's applier."""
    return f"apply.{target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamPulse:
    """A watcher's report about its configured change stream."""

    since: datetime
    """Time at which the stream began, or ended."""
    off: str = ""
    """Why the source is polled instead; empty: each commit becomes a cut."""
    told_until: datetime | None = None
    """Everything that the source had committed by then is in the log; None: not known yet."""
    behind_bytes: int = 0
    """Size of the source's write-ahead log that was not read yet."""
    retained_bytes: int = 0
    """Size of the write-ahead log that the source keeps for the stream."""
    retained_bytes_max: int = 0
    """Size at which the watcher drops the slot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltedService:
    """A service that does nothing until an operator mends an error."""

    what: str
    """Work of the service."""
    reason: str
    hint: str
    exit_code: int
    """Exit code of a verb that meets the same error."""
    since: datetime
    retry: timedelta
    """Time until the service looks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """One heartbeat: which process it is, and the state of its work."""

    verb: str
    """`run`, `watch`, `watch --once`, `apply` or `apply --once`."""
    host: str
    pid: int
    since: datetime
    seen_at: datetime
    """Time of the heartbeat."""
    every: timedelta
    """Time between two heartbeats."""
    done_at: datetime | None = None
    """Time at which its work last advanced: the source answered, data came, or nothing was due."""
    polls: int = 0
    """Number of polls of the source, and of whole reads of its change stream, that this process has
    finished."""
    waits: str = ""
    """What the process waits for, after an error that may pass; empty: it does not wait."""
    halts: tuple[HaltedService, ...] = ()
    """Services that have halted; the process and its other services continue."""
    stream: StreamPulse | None = None
    """The report about the change stream, of a watcher with one."""
    unlogged: str = ""
    """Why the process cannot write its own log lines; empty: it can."""
    ended_at: datetime | None = None
    """Time at which the process ended on request; None: it did not."""

    def is_heard(self, now: datetime, *, missed_max: int = MISSED_MAX) -> bool:
        """Return whether the process seems to run: it has missed few heartbeats."""
        return self.ended_at is None and now - self.seen_at <= missed_max * self.every

    def is_ahead(self, now: datetime) -> bool:
        """Return whether the heartbeat's clock was ahead, so that its times cannot be used."""
        return self.ended_at is None and self.seen_at - now > MISSED_MAX * self.every

    def is_recent(self, now: datetime) -> bool:
        """Return whether its time says, by a clock that agrees, that the process runs."""
        return self.is_heard(now) and not self.is_ahead(now)

    def heard_at(self, now: datetime) -> "Pulse":
        """Return the heartbeat with times of the clock of its present reader."""
        wrong = self.seen_at - now
        done_at = None if self.done_at is None else _moved(self.done_at, wrong)
        return replace(self, since=_moved(self.since, wrong) or now, seen_at=now, done_at=done_at)

    def not_after(self, now: datetime) -> "Pulse":
        """Return the heartbeat without times in the future, whose age is unknown."""
        is_known = self.done_at is not None and self.done_at <= now
        return replace(
            self,
            since=min(self.since, now),
            seen_at=min(self.seen_at, now),
            done_at=self.done_at if is_known else None,
        )

    @property
    def process(self) -> str:
        """Name of the process in messages."""
        return f"`{self.verb}` on {self.host}, pid {self.pid}"

    @property
    def goes_on(self) -> bool:
        """Whether the process continues until it is stopped; others end by themselves."""
        return ONCE not in self.verb

    def is_of(self, other: "Pulse") -> bool:
        """Return whether both heartbeats are of one process."""
        return (self.host, self.pid) == (other.host, other.pid)

    def stopped(self, at: datetime) -> "Pulse":
        """Return the last heartbeat of a process that ends on request."""
        return replace(self, ended_at=at, seen_at=at)


def _moved(time: datetime, by: timedelta) -> datetime | None:
    """Return an earlier time; None if the calendar has none: heartbeats are believed nothing."""
    try:
        return time - by
    except OverflowError:
        return None


def pulse_json(pulse: Pulse) -> bytes:
    """Return a pulse as it is kept, in `BYTES_MAX`; fields are only added."""
    data = _json(pulse)
    for texts_bytes in _TEXTS_BYTES:
        if len(data) <= BYTES_MAX:
            break
        data = _json(_shortened(pulse, texts_bytes))
    return data


def _shortened(pulse: Pulse, texts_bytes: int) -> Pulse:
    """Return it with less of what errors say: a source's names may be of any length."""
    return replace(
        pulse,
        waits=_beginning(pulse.waits, texts_bytes),
        unlogged=_beginning(pulse.unlogged, texts_bytes),
        halts=tuple(
            replace(
                halt,
                reason=_beginning(halt.reason, texts_bytes),
                hint=_beginning(halt.hint, texts_bytes),
            )
            for halt in pulse.halts
        ),
        stream=None
        if pulse.stream is None
        else replace(pulse.stream, off=_beginning(pulse.stream.off, texts_bytes)),
    )


def _beginning(text: str, bytes_max: int) -> str:
    data = text.encode(errors="replace")
    return text if len(data) <= bytes_max else f"{data[:bytes_max].decode(errors='ignore')}…"


def _json(pulse: Pulse) -> bytes:
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
            "halts": [
                {
                    "what": halt.what,
                    "reason": halt.reason,
                    "hint": halt.hint,
                    "exit_code": halt.exit_code,
                    "since": halt.since,
                    "retry_s": halt.retry.total_seconds(),
                }
                for halt in pulse.halts
            ],
            "change_stream": pulse.stream,
            "unlogged": pulse.unlogged,
            "ended_at": pulse.ended_at,
        }
    )


def pulse_of(data: bytes) -> Pulse | None:
    """Return the pulse of a document; None: it is damaged, and the next one comes soon."""
    try:
        found = parsed(data, None)
        return Pulse(
            verb=_verb(found["verb"]),
            host=str(found["host"]),
            pid=_natural(found["pid"]),
            since=_time(found["since"]),
            seen_at=_time(found["seen_at"]),
            every=_every(found["every_s"]),
            done_at=_time_or_none(found, "done_at"),
            polls=_natural(found.get("polls") or 0),
            waits=str(found.get("waits") or ""),
            halts=tuple(map(_halt, found.get("halts") or ())),
            stream=_stream(found.get("change_stream")),
            unlogged=str(found.get("unlogged") or ""),
            ended_at=_time_or_none(found, "ended_at"),
        )
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _verb(text: str) -> str:
    """Return a verb with its options, which is printed for operators to type."""
    if not _VERB.fullmatch(text):
        raise ValueError(f"{text!r:.80} is no verb")
    return text


def _halt(found: Mapping[str, Any]) -> HaltedService:
    return HaltedService(
        what=str(found["what"]),
        reason=str(found["reason"]),
        hint=str(found["hint"]),
        exit_code=_natural(found["exit_code"]),
        since=_time(found["since"]),
        retry=_every(found["retry_s"]),
    )


def _stream(found: Mapping[str, Any] | None) -> StreamPulse | None:
    if not found:
        return None
    return StreamPulse(
        since=_time(found["since"]),
        off=str(found["off"]),
        told_until=_time_or_none(found, "told_until"),
        behind_bytes=_natural(found["behind_bytes"]),
        retained_bytes=_natural(found["retained_bytes"]),
        retained_bytes_max=_natural(found["retained_bytes_max"]),
    )


def _time_or_none(found: Mapping[str, Any], name: str) -> datetime | None:
    return _time(found[name]) if found.get(name) else None


def _time(text: str) -> datetime:
    if (time := time_of(text)) is None:
        raise ValueError(f"{text!r} is no time that can be reckoned with")
    return time


def _every(seconds: float) -> timedelta:
    every = timedelta(seconds=float(seconds))
    if not timedelta(0) <= every <= EVERY_MAX:
        raise ValueError(f"{seconds} seconds are not between 0 and {EVERY_MAX}")
    return every


def _natural(number: int | str) -> int:
    if not 0 <= (found := int(number)) <= INT_MAX:
        raise ValueError(f"{number} is not between 0 and {INT_MAX}")
    return found
