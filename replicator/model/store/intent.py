"""An expiry's announcement before it deletes anything, so that other processes can give way.

    expiry/<n>.json              new horizon, end of the announcement, and the previous horizon
    expiry/<n>.places            the locations to delete, 16 bytes each, ascending; without it: all
    expiry/<n>.lease-<k>.json    a later end, for as long as the work takes
    expiry/<n>.done.json         the expiry is over

Numbers are never used twice: the newest intent of a log is kept for ever, and with it the horizon.
They have ten digits: a longer one is refused, because its intent would not be found by name.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Annotated

from replicator.errors import CorruptionError, RefusedError
from replicator.model.document import (
    NATURAL,
    Name,
    Natural,
    Shape,
    Time,
    time_text,
    written,
)
from replicator.model.event import Offset

EXPIRY = "expiry"
DIGITS = 10
NUMBER_MAX = 10**DIGITS - 1
"""Last number that an intent can have; no expiry comes near it."""
_NAME = re.compile(
    r"expiry/(?P<number>\d{10,})\."
    r"(?:(?P<what>json|places|done\.json)|lease-(?P<lease>[1-9]\d{0,9})\.json)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """Contents of an intent's document."""

    log_id: Name
    horizon: Annotated[Offset, NATURAL]
    """Offset before which no cut can be restored any more, except cuts with a hold."""
    before: Annotated[Offset, NATURAL]
    """The previous horizon, which stays in force if nothing was deleted."""
    valid_until: Time
    """Time at which the expiry must stop deleting, unless a lease extends it."""
    places: Natural
    """Number of locations to delete, for people who read the file; stored under this name."""
    lasts_s: Natural = 0
    """Seconds after which it stops deleting without a renewal; 0: its writer did not record it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent(Announced):
    """One announced expiry."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentDone:
    """The end of an expiry."""

    carried_out: bool
    """False: the expiry gave way before anything was deleted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterEnd:
    """A later end of an expiry."""

    valid_until: Time
    lasts_s: Natural = 0
    """Seconds as in the intent."""


_HINT = "it was altered; take it from a copy of this store. Nothing expires without it"
_INTENT, _LATER, _DONE = Shape(Announced, _HINT), Shape(LaterEnd, _HINT), Shape(IntentDone, _HINT)


@dataclass(slots=True)
class IntentFiles:
    """The existing files of one intent."""

    number: int
    names: set[str] = field(default_factory=set)
    leases: set[int] = field(default_factory=set)
    """Numbers of its extensions; the last one says how long it lasts."""

    @property
    def last_lease(self) -> int:
        """Number of its last extension; 0: it has none."""
        return max(self.leases, default=0)

    @property
    def is_announced(self) -> bool:
        """Whether the intent's document exists."""
        return "json" in self.names

    @property
    def has_places(self) -> bool:
        """Whether the list of locations to delete still exists."""
        return "places" in self.names

    @property
    def is_done(self) -> bool:
        """Whether a final document exists; it counts only once read: any writer can make one."""
        return "done.json" in self.names


def intent_name(number: int, what: str = "json") -> str:
    """Return the name of one of an intent's files."""
    return f"{EXPIRY}/{number:0{DIGITS}}.{what}"


def lease_name(number: int, lease: int) -> str:
    """Return the name of the file of an intent's nth extension."""
    return intent_name(number, f"lease-{lease}.json")


def intents(names: Iterable[str]) -> list[IntentFiles]:
    """Return the intents that the names of files belong to, oldest first.

    A list or a lease alone is no intent: an expiry writes them later and deletes them earlier.

    Raises:
        CorruptionError: a name has a number that no intent can have.
    """
    found: dict[int, IntentFiles] = {}
    for name in names:
        if (match := _NAME.fullmatch(name)) is not None:
            if len(match["number"]) > DIGITS:
                raise CorruptionError(
                    f"{name} has a number of more than {DIGITS} digits, which no expiry has",
                    hint=f"remove {name}: this release did not write it",
                )
            number = int(match["number"])
            files = found.setdefault(number, IntentFiles(number))
            if match["lease"] is not None:
                files.leases.add(int(match["lease"]))
            else:
                files.names.add(match["what"])
    there = (found[number] for number in sorted(found))
    return [files for files in there if files.is_announced or files.is_done]


def next_number(listed: Sequence[IntentFiles]) -> int:
    """Return the number of the next intent.

    Args:
        listed: All existing intents, oldest first.

    Raises:
        RefusedError: the last number is in use.
    """
    if not listed:
        return 1
    if (last := listed[-1]).number >= NUMBER_MAX:
        name = intent_name(last.number, min(last.names))
        raise RefusedError(
            f"{name} leaves no number for another expiry, and no expiry came so far",
            hint=f"another program wrote it: remove {name}, then plan the expiry again",
        )
    return last.number + 1


def intent_json(intent: Intent) -> bytes:
    """Return an intent as a document."""
    return written(
        {
            "log_id": intent.log_id,
            "horizon": intent.horizon,
            "before": intent.before,
            "valid_until": time_text(intent.valid_until),
            "places": intent.places,
            "lasts_s": intent.lasts_s,
        }
    )


def intent_of(number: int, data: bytes) -> Intent:
    """Return the intent that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    return Intent(number=number, **asdict(_INTENT.read(intent_name(number), data)))


def until_json(end: LaterEnd) -> bytes:
    """Return a later end as a document."""
    return written({"valid_until": time_text(end.valid_until), "lasts_s": end.lasts_s})


def until_of(name: str, data: bytes) -> LaterEnd:
    """Return the later end that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    return _LATER.read(name, data)


def done_json(done: IntentDone) -> bytes:
    """Return how an expiry ended as a document."""
    return written({"carried_out": done.carried_out})


def done_of(name: str, data: bytes) -> IntentDone:
    """Return how an expiry ended.

    Raises:
        CorruptionError: it cannot be read.
    """
    return _DONE.read(name, data)
