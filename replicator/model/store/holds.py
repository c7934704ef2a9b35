"""Cuts that operators and running restores want kept: small files beside a target's bytes.

points/<name>.json       a name for a cut, which keeps nothing
holds/<name>.json        a cut that does not expire, with the reason and perhaps an end
restores/<id>.json       a cut that a running restore reads, for the time of its lease
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Annotated, Any

from replicator.errors import ConfigError
from replicator.model.document import NATURAL, Name, Natural, Shape, Time, time_text, written
from replicator.model.event import ClosedCut, CutNumber, Offset
from replicator.model.plans.restore_point import reads_otherwise

POINTS, HOLDS, RESTORES = "points", "holds", "restores"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPoint:
    """A cut to which an operator gave a name."""

    name: Name
    log_id: Name
    offset: Annotated[Offset, NATURAL]
    cut: Annotated[CutNumber, NATURAL]
    source_time: Time
    created_at: Time


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """A cut that stays restorable while others expire."""

    point: NamedPoint
    """The cut that is held; its name is the name of the hold."""
    reason: str
    until: datetime | None
    """Time at which the hold ends; None: when an operator removes it."""

    def holds_at(self, now: datetime) -> bool:
        """Return whether the hold is still in force."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreLease:
    """A restore that reads a target's store now."""

    log_id: Name
    offset: Annotated[Offset, NATURAL]
    """Offset of the cut that the lease's restore reads."""
    valid_until: Time
    lasts_s: Natural = 0
    """Seconds for which the lease lasts without a renewal; 0: its writer did not record it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Terms:
    """The members that a hold's document has in addition to a point's."""

    reason: str
    until: Time | None


_HINT = "it was altered; as long as its contents are unknown, nothing expires"
_POINT = Shape(NamedPoint, "it was altered; remove it, it keeps nothing: it is a name")
_HELD, _TERMS = Shape(NamedPoint, _HINT), Shape(_Terms, _HINT)
_LEASE = Shape(RestoreLease, _HINT)


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a point or a hold."""
    return _NAME.fullmatch(text) is not None


def checked_name(name: str) -> str:
    """Return a valid name of a point or a hold.

    Raises:
        ConfigError: the name is not valid.
    """
    if not is_name(name):
        raise ConfigError(
            f"{name!r} is no name for a point: letters, digits, dots, dashes and underscores, at"
            " most 100, and a letter or a digit first"
        )
    return name


def new_name(name: str) -> str:
    """Return a valid name for a new point or hold.

    Raises:
        ConfigError: the name is not valid, or is taken for something else where it is typed.
    """
    if read_as := reads_otherwise(checked_name(name)):
        raise ConfigError(
            f"{name!r} is no name for a point: `rollback --to {name}` reads it as {read_as}",
            hint=f"put a word before it, like release-{name}",
        )
    return name


def point_at(cut: ClosedCut, *, name: str, log_id: str, now: datetime) -> NamedPoint:
    """Return a cut under a name."""
    return NamedPoint(
        name=new_name(name),
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
    return written(_point_fields(point))


def point_of(name: str, data: bytes) -> NamedPoint:
    """Return the named point that a document holds.

    Raises:
        CorruptionError: it cannot be read, or has another name than its file.
    """
    return _of_its_file(_POINT, name, _POINT.read(name, data))


def hold_json(hold: Hold) -> bytes:
    """Return a hold as a document."""
    until = None if hold.until is None else time_text(hold.until)
    return written({**_point_fields(hold.point), "reason": hold.reason, "until": until})


def hold_of(name: str, data: bytes) -> Hold:
    """Return the hold that a document holds.

    Raises:
        CorruptionError: it cannot be read, or has another name than its file.
    """
    terms = _TERMS.read(name, data)
    point = _of_its_file(_HELD, name, _HELD.read(name, data))
    return Hold(point=point, reason=terms.reason, until=terms.until)


def lasting_s(lease: timedelta) -> int:
    """Return for how many seconds other processes rely on something that is not renewed."""
    return ceil(lease.total_seconds())


def lease_json(lease: RestoreLease) -> bytes:
    """Return a restore's lease as a document."""
    return written(
        {
            "log_id": lease.log_id,
            "offset": lease.offset,
            "valid_until": time_text(lease.valid_until),
            "lasts_s": lease.lasts_s,
        }
    )


def lease_of(name: str, data: bytes) -> RestoreLease:
    """Return the lease that a document holds.

    Raises:
        CorruptionError: it cannot be read.
    """
    return _LEASE.read(name, data)


def _of_its_file(shape: Shape[NamedPoint], name: str, point: NamedPoint) -> NamedPoint:
    if name.rpartition("/")[2] != f"{point.name}.json":
        raise shape.unreadable(name, f"it is about {point.name!r}")
    return point


def _point_fields(point: NamedPoint) -> dict[str, Any]:
    return {
        "name": point.name,
        "log_id": point.log_id,
        "offset": point.offset,
        "cut": point.cut,
        "source_time": time_text(point.source_time),
        "created_at": time_text(point.created_at),
    }
