"""Rate and remaining time of long pieces of work."""

from dataclasses import dataclass

from replicator.model.observation import Progress
from replicator.model.operations.words import seconds_text

LINE_EVERY_S = 60.0
"""Seconds between two lines about one piece of work without a terminal."""


@dataclass(slots=True)
class _WorkPace:
    since_s: float
    from_done: int
    logged_at_s: float
    done: int


class Paces:
    """Rates of all unfinished pieces of work, by their names."""

    def __init__(self) -> None:
        self._paces: dict[str, _WorkPace] = {}

    def line(self, made: Progress, now_s: float) -> dict[str, object] | None:
        """Record progress; return the values of a log line, at most once a minute, else None."""
        pace = self._paces.get(made.what)
        if pace is None or made.done < pace.done:  # it began, or started over
            pace = self._paces[made.what] = _WorkPace(now_s, made.done, now_s, made.done)
        pace.done = made.done
        if made.total is not None and made.done >= made.total:
            del self._paces[made.what]
            return None
        if now_s - pace.logged_at_s < LINE_EVERY_S:
            return None
        pace.logged_at_s = now_s
        rate = (made.done - pace.from_done) / (now_s - pace.since_s)
        values: dict[str, object] = {"what": made.what, "done": made.done, "unit": made.unit}
        values["per_s"] = round(rate, 1)
        if made.total is not None:
            values["total"] = made.total
            if rate > 0:
                values["left"] = seconds_text((made.total - made.done) / rate)
        return values
