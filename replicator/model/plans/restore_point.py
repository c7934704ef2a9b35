"""Which cut a user means, and the refusal when there is none.

Restore points are cuts. An offset or a time between two cuts means the last cut at or before it,
and the tool says which one.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from replicator.model.event import Offset


@dataclass(frozen=True, slots=True, kw_only=True)
class ToOffset:
    """The last cut whose closing record is at or before this offset."""

    offset: Offset
    log_id: str | None = None
    """The log that the offset counts in, where that is known."""


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


RestorePoint: TypeAlias = ToOffset | ToTime | BeforeEvent | Latest
