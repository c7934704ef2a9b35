"""What the evidence in a target's store says of its drills, and which files are evidence."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from replicator.model.timestamps import stamped

if TYPE_CHECKING:
    from replicator.model.store.drill import Evidence

DRILLS = "drills"
_TIME = "%Y%m%dT%H%M%S.%fZ"
_NAME = re.compile(rf"{DRILLS}/(?P<time>\d{{8}}T\d{{6}}\.\d{{6}}Z)\.json", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """State of a target's drills."""

    last: Evidence | None = None
    last_good: Evidence | None = None
    faults: tuple[str, ...] = ()
    """Messages for evidence that could not be read; such evidence does not count."""
    unknown: str | None = None
    """Reason why the store cannot be read; None: both fields above are known."""

    def keeps(self, promise: timedelta | None, now: datetime) -> bool:
        """Return whether the last good drill is recent enough for the promise."""
        if promise is None:
            return True
        return self.last_good is not None and now - self.last_good.ended_at <= promise


def evidence_name(evidence: Evidence) -> str:
    """Return the name of its file: by the time it began, so that names ascend with it."""
    return f"{DRILLS}/{evidence.started_at.strftime(_TIME)}.json"


def is_evidence(name: str) -> bool:
    """Return whether a file has the name of a drill's evidence; others take no place among it."""
    found = _NAME.fullmatch(name)
    return found is not None and stamped(found["time"], _TIME) is not None
