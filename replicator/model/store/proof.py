"""The result of a verification, kept in the target's store: what was proved, when, how much."""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Annotated

from pydantic import Field

from replicator.model.document import NATURAL, Natural, Shape, Time, written
from replicator.model.event import CutNumber, Offset
from replicator.model.extent import windows
from replicator.model.timestamps import stamped

PROOFS = "proofs"
_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(
    rf"{PROOFS}/(?P<time>[0-9T.]+Z)-(?P<level>[a-z]+)-(?P<verdict>good|part|bad)\.json"
)
PROOF_BYTES_MAX = 64 << 10
"""Limit for the document of one proof, which takes a quarter of a kilobyte."""
SHARE_MIN = 1e-15
"""Smallest share: below it no object would be examined."""


class Level(Enum):
    """Depth of a verification; each level includes the previous ones.

    `query` includes the rows only: two Brokers read the bytes anyway.
    """

    ROWS = "rows"
    EXISTS = "exists"
    CHECKSUM = "checksum"
    QUERY = "query"

    @property
    def is_about_objects(self) -> bool:
        """Whether the deep storage is examined."""
        return self in {Level.EXISTS, Level.CHECKSUM}


CHECKSUM = Level.CHECKSUM.value
_INCLUDED = {
    Level.EXISTS.value: {Level.ROWS.value},
    CHECKSUM: {Level.ROWS.value, Level.EXISTS.value},
    Level.QUERY.value: {Level.ROWS.value},
}
"""Levels that a deeper one includes."""
OF_OBJECTS = frozenset(one.value for one in Level if one.is_about_objects)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One finished verification."""

    proved_at: Time
    level: str
    cut: Annotated[CutNumber, NATURAL]
    offset: Annotated[Offset, NATURAL]
    share: Annotated[float, Field(ge=SHARE_MIN, le=1)]
    """Share of the objects to be examined."""
    window: Natural | None
    """Index of the share of the objects, from 0; None: all objects, or a random sample."""
    partial: bool
    """Whether the verification covered only one datasource or interval."""
    objects: Natural
    read_bytes: Natural
    left: Natural
    """Number of objects not read because the limit of bytes was reached."""
    findings: Natural
    structure: bool = False
    """Whether packed segments were examined inside."""

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return self.findings == 0

    def clears(self, bad: "Proof") -> bool:
        """Return whether this proof covers everything that an earlier, bad proof looked at."""
        is_whole = self.share >= 1 or (self.window, self.share) == (bad.window, bad.share)
        as_wide = is_whole and not (self.partial or self.left)
        as_deep = self.structure or not bad.structure
        return self.good and as_wide and as_deep and _reaches(self.level, bad.level)

    @property
    def name(self) -> str:
        """The name of the proof's file: a listing shows time, level and result.

        A good proof of a part of the target is a `part`, and proves nothing about the rest.
        """
        time = self.proved_at.astimezone(UTC).strftime(_TIME)
        verdict = "bad" if not self.good else "part" if self.partial else "good"
        return f"{PROOFS}/{time}-{self.level}-{verdict}.json"


_PROOF = Shape(Proof, "remove it")


def proof_json(proof: Proof) -> bytes:
    """Return a proof as a document."""
    return written(asdict(proof))


def proof_of(name: str, data: bytes) -> Proof:
    """Return the proof that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    return _PROOF.read(name, data)


def by_time(names: Iterable[str], now: datetime) -> tuple[list[str], list[str]]:
    """Return the names of past proofs, and those with times in the future, each ascending.

    Other names are ignored. Future ones are separate, so that none of them, whoever wrote it,
    counts as the newest: they come from a clock that was ahead, or from no clock at all.
    """
    parsed = sorted((name, time) for name in names if (time := _time_of(name)) is not None)
    return [name for name, time in parsed if time <= now], [
        name for name, time in parsed if time > now
    ]


def last_good(names: Iterable[str]) -> dict[str, datetime]:
    """Return when each level was last proved good, by the names of the files."""
    found: dict[str, datetime] = {}
    for name in names:
        parsed, time = _NAME.fullmatch(name), _time_of(name)
        if parsed is not None and time is not None and parsed["verdict"] == "good":
            found[parsed["level"]] = max(time, found.get(parsed["level"], time))
    return found


def bad_names(names: Iterable[str]) -> list[tuple[str, list[str]]]:
    """Return the files of bad proofs, newest first, each with the files that may clear it."""
    parsed = [(name, match) for name in sorted(names) if (match := _NAME.fullmatch(name))]
    return [
        (name, [later for later, other in parsed[at + 1 :] if _may_clear(match, other)])
        for at, (name, match) in reversed(list(enumerate(parsed)))
        if match["verdict"] == "bad"
    ]


def _time_of(name: str) -> datetime | None:
    found = _NAME.fullmatch(name)
    return None if found is None else stamped(found["time"], _TIME)


def _may_clear(bad: re.Match[str], other: re.Match[str]) -> bool:
    return other["verdict"] == "good" and _reaches(other["level"], bad["level"])


def _reaches(level: str, other: str) -> bool:
    return level == other or other in _INCLUDED.get(level, set())


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of a target's bytes was recently read and found good."""

    share: float
    since: datetime
    is_cut_short: bool = False
    """Whether damage was found within this time; only later proofs count."""
    faults: tuple[str, ...] = ()
    """Messages for proofs that could not be read."""


def coverage(proofs: Iterable[Proof], *, now: datetime, within: timedelta) -> Coverage:
    """Return which share of the objects good checksum proofs have covered.

    A whole proof covers all of them, rolling ones a window each; random samples and proofs that
    reached their limit of bytes do not count. Found damage invalidates the proofs before it.
    """
    proofs, begin = list(proofs), now - within
    damaged = [one.proved_at for one in proofs if one.level == CHECKSUM and not one.good]
    since = max([begin, *damaged])
    seen: dict[int, set[int]] = {}
    for proof in proofs:
        counts = proof.level == CHECKSUM and proof.good and not (proof.left or proof.partial)
        if counts and proof.proved_at >= since and (proof.share >= 1 or proof.window is not None):
            of = windows(proof.share)
            seen.setdefault(of, set()).add((proof.window or 0) % of)
    share = max((len(found) / of for of, found in seen.items()), default=0.0)
    return Coverage(share=share, since=since, is_cut_short=since > begin)
