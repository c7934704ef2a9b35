"""Restore points: the ways in which an operator names a cut.

An offset or a time between two cuts means the last cut at or before it, and the output names that
cut.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from replicator.model.event import Offset

LATEST, BEFORE_DROP = "latest", "before-drop"
WORDS = (BEFORE_DROP, LATEST)
"""What one text that means a moment can be, beside an offset, a time and a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToOffset:
    """The last cut whose closing record is at or before this offset."""

    offset: Offset
    log_id: str | None = None
    """Id of the log of that offset; None: unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToTime:
    """The last cut whose snapshot the source took at or before this time."""

    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class BeforeEvent:
    """The last cut that was closed before the event at this offset."""

    offset: Offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """The last closed cut of the log."""


def reads_otherwise(name: str) -> str:
    """Return as what a point's name would be read where one text means a moment; '' as the name."""
    if name in WORDS:
        return "a word"
    if name.isdecimal():
        return "an offset"
    try:
        datetime.fromisoformat(name)
    except ValueError:
        return ""
    return "a time"


RestorePoint: TypeAlias = ToOffset | ToTime | BeforeEvent | Latest
