"""What an expiry says before it deletes anything, so that those beside it can give way.

    expiry/<n>.json              up to where, until when, and what was the horizon before
    expiry/<n>.places            the condemned places, 16 bytes each, ascending; without it: all
    expiry/<n>.lease-<k>.json    a later end, as long as the work takes
    expiry/<n>.done.json         it is over

Numbers are never given twice: the newest intent of a log is kept for ever, and with it the horizon.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from replicator.errors import CorruptionError
from replicator.model.event import Offset
from replicator.model.holds import require_format, time_text

FORMAT = 1
EXPIRY = "expiry"
DIGITS = 10
_NAME = re.compile(
    r"expiry/(?P<number>\d{10})\."
    r"(?:(?P<what>json|places|done\.json)|lease-(?P<lease>\d+)\.json)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One expiry as it was announced."""

    number: int
    log_id: str
    horizon: Offset
    """No cut before it can be restored any more, but for those with a hold."""
    before: Offset
    """The horizon until then; it stays when nothing was deleted."""
    valid_until: datetime
    """When it may not delete any more, unless a lease says later."""
    places: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How an expiry ended."""

    carried_out: bool
    """False: it gave way before anything was deleted."""


@dataclass(slots=True)
class IntentFiles:
    """Which files there are of one intent."""

    number: int
    names: set[str] = field(default_factory=set)
    last_lease: int = 0

    @property
    def is_announced(self) -> bool:
        """Whether the intent itself is there."""
        return "json" in self.names

    @property
    def has_places(self) -> bool:
        """Whether what it condemns can still be read."""
        return "places" in self.names

    @property
    def is_done(self) -> bool:
        """Whether it is over by its own word."""
        return "done.json" in self.names


def intent_name(number: int, what: str = "json") -> str:
    """Return the name of one of an intent's files."""
    return f"{EXPIRY}/{number:0{DIGITS}}.{what}"


def lease_name(number: int, lease: int) -> str:
    """Return the name of the file that makes an intent last longer, for the nth time."""
    return intent_name(number, f"lease-{lease}.json")


def intents(names: Iterable[str]) -> list[IntentFiles]:
    """Return which intents there are by the names of their files, oldest first."""
    found: dict[int, IntentFiles] = {}
    for name in names:
        if (match := _NAME.fullmatch(name)) is not None:
            number = int(match["number"])
            files = found.setdefault(number, IntentFiles(number))
            if match["lease"] is not None:
                files.last_lease = max(files.last_lease, int(match["lease"]))
            else:
                files.names.add(match["what"])
    return [found[number] for number in sorted(found)]


def intent_json(intent: Intent) -> bytes:
    """Return an intent as a document."""
    return orjson.dumps(
        {
            "format": FORMAT,
            "log_id": intent.log_id,
            "horizon": intent.horizon,
            "before": intent.before,
            "valid_until": time_text(intent.valid_until),
            "places": intent.places,
        }
    )


def intent_of(number: int, data: bytes) -> Intent:
    """Return the intent that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    found = _document(intent_name(number), data)
    try:
        return Intent(
            number=number,
            log_id=found["log_id"],
            horizon=Offset(found["horizon"]),
            before=Offset(found["before"]),
            valid_until=datetime.fromisoformat(found["valid_until"]),
            places=found["places"],
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise _unreadable(intent_name(number), exc) from exc


def until_json(valid_until: datetime) -> bytes:
    """Return a later end as a document."""
    return orjson.dumps({"format": FORMAT, "valid_until": time_text(valid_until)})


def until_of(name: str, data: bytes) -> datetime:
    """Return the later end that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    try:
        return datetime.fromisoformat(_document(name, data)["valid_until"])
    except (ValueError, KeyError, TypeError) as exc:
        raise _unreadable(name, exc) from exc


def done_json(done: Done) -> bytes:
    """Return how an expiry ended as a document."""
    return orjson.dumps({"format": FORMAT, "carried_out": done.carried_out})


def done_of(name: str, data: bytes) -> Done:
    """Return how an expiry ended.

    Raises:
        CorruptionError: it cannot be read.
    """
    try:
        return Done(carried_out=bool(_document(name, data)["carried_out"]))
    except KeyError as exc:
        raise _unreadable(name, exc) from exc


def _document(name: str, data: bytes) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = orjson.loads(data)
        require_format(found)
    except (ValueError, KeyError, TypeError) as exc:
        raise _unreadable(name, exc) from exc
    return found


def _unreadable(name: str, exc: Exception) -> CorruptionError:
    return CorruptionError(
        f"{name} cannot be read: {exc}",
        hint="it was altered; take it from a copy of this store. Nothing expires without it",
    )
