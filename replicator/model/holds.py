"""What people and running restores want kept: small files of our own beside a target's bytes.

points/<name>.json       a cut by a name; it keeps nothing
holds/<name>.json        a cut that expiry spares, with the reason and perhaps an end
restores/<id>.json       a cut that a running restore reads, for as long as its lease
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson

from replicator.errors import ConfigError, CorruptionError
from replicator.model.event import ClosedCut, CutNumber, Offset

_Made = TypeVar("_Made")
FORMAT = 1
POINTS, HOLDS, RESTORES = "points", "holds", "restores"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPoint:
    """A cut that somebody gave a name."""

    name: str
    log_id: str
    offset: Offset
    cut: CutNumber
    source_time: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A cut that stays restorable whatever expires around it."""

    point: NamedPoint
    """Its name is the hold's."""
    reason: str
    until: datetime | None
    """None: until somebody removes it."""

    def holds_at(self, now: datetime) -> bool:
        """Return whether it is still in force."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreLease:
    """A restore that reads a target's store now."""

    log_id: str
    offset: Offset
    """Of the cut that it restores."""
    valid_until: datetime


def checked_name(name: str) -> str:
    """Return a name that a point or a hold can have.

    Raises:
        ConfigError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} is no name for a point: letters, digits, dots, dashes and underscores, at"
            " most 100, and a letter or a digit first"
        )
    return name


def point_at(cut: ClosedCut, *, name: str, log_id: str, now: datetime) -> NamedPoint:
    """Return a cut under a name."""
    return NamedPoint(
        name=checked_name(name),
        log_id=log_id,
        offset=cut.offset,
        cut=cut.closed.cut,
        source_time=cut.closed.source_time,
        created_at=now,
    )


def file_name(folder: str, name: str) -> str:
    """Return the file of a point, a hold or a restore."""
    return f"{folder}/{name}.json"


def point_json(point: NamedPoint) -> bytes:
    """Return a named point as a document."""
    return orjson.dumps({"format": FORMAT, **_point_fields(point)})


def point_of(name: str, data: bytes) -> NamedPoint:
    """Return the named point that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    return _read(name, data, _point)


def hold_json(hold: Hold) -> bytes:
    """Return a hold as a document."""
    until = None if hold.until is None else time_text(hold.until)
    found = {"format": FORMAT, **_point_fields(hold.point), "reason": hold.reason, "until": until}
    return orjson.dumps(found)


def hold_of(name: str, data: bytes) -> Hold:
    """Return the hold that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    return _read(name, data, _hold)


def lease_json(lease: RestoreLease) -> bytes:
    """Return a restore's lease as a document."""
    return orjson.dumps(
        {
            "format": FORMAT,
            "log_id": lease.log_id,
            "offset": lease.offset,
            "valid_until": time_text(lease.valid_until),
        }
    )


def lease_of(name: str, data: bytes) -> RestoreLease:
    """Return the lease that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    return _read(name, data, _lease)


def require_format(found: Mapping[str, Any]) -> None:
    """Raise a ValueError when a document is of a later format than this release reads."""
    if found["format"] != FORMAT:
        raise ValueError(f"it has format {found['format']}")


def time_text(time: datetime) -> str:
    """Return a time as it stands in documents."""
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _read(name: str, data: bytes, make: Callable[[Mapping[str, Any]], _Made]) -> _Made:
    try:
        found = orjson.loads(data)
        require_format(found)
        return make(found)
    except (ValueError, KeyError, TypeError) as exc:
        raise CorruptionError(
            f"{name} cannot be read: {exc}",
            hint="it was altered; as long as nobody knows what it keeps, nothing expires",
        ) from exc


def _point_fields(point: NamedPoint) -> dict[str, Any]:
    return {
        "name": point.name,
        "log_id": point.log_id,
        "offset": point.offset,
        "cut": point.cut,
        "source_time": time_text(point.source_time),
        "created_at": time_text(point.created_at),
    }


def _point(found: Mapping[str, Any]) -> NamedPoint:
    return NamedPoint(
        name=found["name"],
        log_id=found["log_id"],
        offset=Offset(found["offset"]),
        cut=CutNumber(found["cut"]),
        source_time=datetime.fromisoformat(found["source_time"]),
        created_at=datetime.fromisoformat(found["created_at"]),
    )


def _hold(found: Mapping[str, Any]) -> Hold:
    until = found["until"]
    return Hold(
        point=_point(found),
        reason=found["reason"],
        until=None if until is None else datetime.fromisoformat(until),
    )


def _lease(found: Mapping[str, Any]) -> RestoreLease:
    return RestoreLease(
        log_id=found["log_id"],
        offset=Offset(found["offset"]),
        valid_until=datetime.fromisoformat(found["valid_until"]),
    )
