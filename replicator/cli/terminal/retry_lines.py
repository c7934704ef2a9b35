"""What is logged of calls that are tried again: a line an outage and minute, not one a call.

Thousands of copies meet one outage, and each is tried again several times. The first retry is told
at once, the others are counted; at the level `debug` each has its own line.
"""

from dataclasses import dataclass

from replicator.cli.terminal.log_lines import logger
from replicator.model.observation import Waiting

LINE_EVERY_S = 60.0
"""Seconds between two lines about the retries of one target."""


@dataclass(slots=True)
class RetryLines:
    """The retries of one target, or of the watcher."""

    _told_s: float | None = None
    """Time of the last line; None: nothing was told yet."""
    _counted: int = 0
    """Retries since then."""
    _last: Waiting | None = None

    def tell(self, target: str | None, retry: Waiting, now_s: float) -> bool:
        """Count a retry; return whether a line was due, and was logged."""
        told = _told(target, retry)
        if self._told_s is not None and now_s - self._told_s < LINE_EVERY_S:
            self._counted, self._last = self._counted + 1, retry
            logger().debug("waiting", **told)
            return False
        if self._counted:
            self._counted, self._last = self._counted + 1, retry
            self.end(target)
        else:
            logger().warning("waiting", **told)
        self._told_s = now_s
        return True

    def end(self, target: str | None) -> None:
        """Tell of the retries that were only counted: the step has ended."""
        if self._last is not None:
            told = _told(target, self._last)
            logger().warning("retries", count=self._counted, **told)
        self._counted, self._last = 0, None


def _told(target: str | None, retry: Waiting) -> dict[str, object]:
    of = {} if target is None else {"target": target}
    return {
        **of,
        "what": retry.what,
        "reason": retry.reason,
        "delay_s": round(retry.delay_s, 1),
    }
