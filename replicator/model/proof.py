"""What was proved of a target, when, and how much of it: kept in its store."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from replicator.errors import CorruptionError
from replicator.model.event import CutNumber, Offset
from replicator.model.extent import windows

FORMAT = 1
PROOFS = "proofs"
_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(
    rf"{PROOFS}/(?P<time>[0-9T.]+Z)-(?P<level>[a-z]+)-(?P<verdict>good|part|bad)\.json"
)
CHECKSUM = "checksum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """One verification, as it ended."""

    proved_at: datetime
    level: str
    cut: CutNumber
    offset: Offset
    share: float
    """Of the objects that were to be looked at."""
    window: int | None
    """Which share of them, counted from 0; None: all, or drawn by chance."""
    partial: bool
    """Whether it was about one datasource or one interval only."""
    objects: int
    read_bytes: int
    left: int
    """Objects that were not read because the bytes to read were used up."""
    findings: int

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return self.findings == 0

    @property
    def name(self) -> str:
        """The name of its file: when, what and how it ended can be read from a listing.

        What was good and only about a part of the target is `part`, and proves nothing of the rest.
        """
        time = self.proved_at.astimezone(UTC).strftime(_TIME)
        verdict = "bad" if not self.good else "part" if self.partial else "good"
        return f"{PROOFS}/{time}-{self.level}-{verdict}.json"


def proof_json(proof: Proof) -> bytes:
    """Return a proof as a document."""
    found = {
        "format": FORMAT,
        "proved_at": proof.proved_at,
        "level": proof.level,
        "cut": proof.cut,
        "offset": proof.offset,
        "share": proof.share,
        "window": proof.window,
        "partial": proof.partial,
        "objects": proof.objects,
        "read_bytes": proof.read_bytes,
        "left": proof.left,
        "findings": proof.findings,
    }
    return orjson.dumps(found)


def proof_of(name: str, data: bytes) -> Proof:
    """Return the proof that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    try:
        return _proof(orjson.loads(data))
    except (ValueError, KeyError, TypeError) as exc:
        raise CorruptionError(f"{name} cannot be read: {exc}", hint="remove it") from exc


def last_good(names: Iterable[str]) -> dict[str, datetime]:
    """Return when each level was last proved good, by the names of the files."""
    found: dict[str, datetime] = {}
    for name in names:
        told = _NAME.fullmatch(name)
        if told is not None and told["verdict"] == "good":
            time = datetime.strptime(told["time"], _TIME).replace(tzinfo=UTC)
            found[told["level"]] = max(time, found.get(told["level"], time))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """How much of a target's bytes was read and found good lately."""

    share: float
    since: datetime


def coverage(proofs: Iterable[Proof], *, now: datetime, within: timedelta) -> Coverage:
    """Return which share of the objects good checksum proofs have covered.

    All of them by a whole proof, or one window after the other by rolling ones; what was drawn by
    chance, or broken off because the bytes were used up, does not count.
    """
    since = now - within
    seen: dict[int, set[int]] = {}
    for proof in proofs:
        counts = proof.level == CHECKSUM and proof.good and not (proof.left or proof.partial)
        if counts and proof.proved_at >= since and (proof.share >= 1 or proof.window is not None):
            of = windows(proof.share)
            seen.setdefault(of, set()).add((proof.window or 0) % of)
    share = max((len(found) / of for of, found in seen.items()), default=0.0)
    return Coverage(share=share, since=since)


def _proof(found: dict[str, Any]) -> Proof:
    if found["format"] != FORMAT:
        raise ValueError(f"it has format {found['format']}")
    return Proof(
        proved_at=datetime.fromisoformat(found["proved_at"]),
        level=found["level"],
        cut=CutNumber(found["cut"]),
        offset=Offset(found["offset"]),
        share=found["share"],
        window=found["window"],
        partial=found["partial"],
        objects=found["objects"],
        read_bytes=found["read_bytes"],
        left=found["left"],
        findings=found["findings"],
    )
