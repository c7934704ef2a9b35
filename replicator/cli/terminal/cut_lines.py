"""Log lines of `run` about cuts and retries: a line for each cut of a target and for each outage.

Nothing is logged while nothing happens. A verb that ends reports its work in its result, so that
its lines about cuts are only logged at the level `debug`. One outage affects thousands of copies,
and each is retried several times: the first retry is logged at once, and the others are counted.
The outage also affects the target's three loops, which share one line.
"""

from dataclasses import dataclass, field
from typing import TypeAlias, assert_never

from replicator.cli.terminal.log_lines import logger
from replicator.model.observation import (
    BaseWritten,
    CutApplied,
    CutPublished,
    GapOpened,
    HistoryMerged,
    ObjectCopied,
)
from replicator.model.observed.faults import ArchiveDamaged, FileUnsigned, Halted, Waiting, WentOn
from replicator.ports import Clock

Warned: TypeAlias = GapOpened | Waiting | Halted | WentOn | ArchiveDamaged | FileUnsigned

LINE_EVERY_S = 60.0
"""Seconds between two lines about the retries of one target."""
DAMAGE_EVERY_S = 3600.0
"""Seconds between two lines about the same damage, which each reading of a store meets again."""


@dataclass(slots=True)
class RetryLines:
    """The retries of one target, or of the watcher; at the level `debug` each has a line."""

    _logged_at_s: float | None = None
    """Time of the last line; None: there was none."""
    _counted: int = 0
    """Number of retries since then."""
    _last: Waiting | None = None

    def tell(self, target: str | None, retry: Waiting, now_s: float) -> bool:
        """Count a retry; log a line if one is due, and return whether it was."""
        values = _values(target, retry)
        if self._logged_at_s is not None and now_s - self._logged_at_s < LINE_EVERY_S:
            self._counted, self._last = self._counted + 1, retry
            logger().debug("waiting", **values)
            return False
        if self._counted:
            self._counted, self._last = self._counted + 1, retry
            self.end(target)
        else:
            logger().warning("waiting", **values)
        self._logged_at_s = now_s
        return True

    def over(self, target: str | None) -> None:
        """Log the counted retries: the outage is over, and the next one is logged at once."""
        self.end(target)
        self._logged_at_s = None

    def end(self, target: str | None) -> None:
        """Log the retries that were only counted, as the step has ended."""
        if self._last is not None:
            values = _values(target, self._last)
            logger().warning("retries", count=self._counted, **values)
        self._counted, self._last = 0, None


@dataclass(slots=True)
class ReasonLines:
    """Reasons for which one target's loops, or the watcher, wait: a line a minute for each reason.

    The loops apply, write bases and merge; a single unmounted folder stops all of them.
    """

    every_s: float = LINE_EVERY_S
    _logged_at_s: dict[str, float] = field(default_factory=dict)
    """Time of the last line of each reason, within the last `every_s`."""

    def is_due(self, reason: str, now_s: float) -> bool:
        """Return whether a line about a reason is due; if so, it counts as logged."""
        self._logged_at_s = {
            one: at_s for one, at_s in self._logged_at_s.items() if now_s - at_s < self.every_s
        }
        if reason in self._logged_at_s:
            return False
        self._logged_at_s[reason] = now_s
        return True

    def over(self) -> None:
        """Log any next reason at once, because a step succeeded."""
        self._logged_at_s.clear()


@dataclass(slots=True)
class CutLines:
    """Lines about the cuts of the watcher or one target, with the copies since its last cut."""

    target: str | None
    clock: Clock
    retries: RetryLines = field(default_factory=RetryLines)
    reasons: ReasonLines = field(default_factory=ReasonLines)
    damages: ReasonLines = field(default_factory=lambda: ReasonLines(every_s=DAMAGE_EVERY_S))
    _has_logged: bool = False
    _copied: int = 0
    _bytes: int = 0
    _there: int = 0
    _copied_before: int = 0
    """Number of segments that earlier attempts at the same cut have copied."""

    def is_due(self, found: Warned, now_s: float) -> bool:
        """Return whether a trouble is to be logged now, and was not logged just before."""
        match found:
            case Waiting(what=what, reason=reason) | Halted(what=what, reason=reason):
                is_due = self.reasons.is_due(reason, now_s)
                if not is_due:
                    logger().debug("waiting", target=self.target, what=what, reason=reason)
                return is_due
            case ArchiveDamaged(reason=reason):
                return self.damages.is_due(reason, now_s)
            case WentOn():
                self.reasons.over()
                return True
            case GapOpened() | FileUnsigned():
                return True
        assert_never(found)

    def began(self) -> None:
        """Begin an attempt, which finds the segments that earlier attempts have copied."""
        self._copied_before, self._there = self._copied, 0

    def copied(self, one: ObjectCopied) -> None:
        """Count a segment for the next line."""
        if one.reused:
            self._there += 1
            return
        self._copied += 1
        self._bytes += one.size_bytes

    def published(self, cut: CutPublished, *, quiet: bool) -> None:
        """Log a cut of the source; one without a change only if it is the first line."""
        self._tell(
            "cut published",
            quiet=quiet,
            is_news=bool(cut.events) or not self._has_logged,
            cut=cut.cut,
            offset=cut.offset,
            events=cut.events,
            rows=cut.scanned_rows,
            poll_s=round(cut.poll_s, 3),
        )

    def applied(self, cut: CutApplied, *, quiet: bool) -> None:
        """Log a cut that the target has now."""
        lag = self.clock.now() - cut.source_time
        self._tell(
            "first filling done" if cut.is_filling else "cut applied",
            quiet=quiet,
            is_news=bool(cut.rows or self._copied) or not self._has_logged,
            target=self.target,
            cut=cut.cut,
            offset=cut.offset,
            rows=cut.rows,
            segments=self._copied,
            bytes=self._bytes,
            already_there=max(0, self._there - self._copied_before),
            lag_s=round(lag.total_seconds(), 1),
        )
        self._copied = self._bytes = self._there = self._copied_before = 0

    def based(self, base: BaseWritten, *, quiet: bool) -> None:
        """Log a base in the target's store."""
        log = logger().debug if quiet else logger().info
        log("base written", target=self.target, cut=base.cut, offset=base.offset, rows=base.rows)

    def merged(self, merged: HistoryMerged, *, quiet: bool) -> None:
        """Log a merge of history files."""
        log = logger().debug if quiet else logger().info
        counts = {"small": merged.small, "merged": merged.merged, "deleted": merged.deleted}
        log("history merged", target=self.target, **counts)

    def _tell(self, event: str, *, quiet: bool, is_news: bool, **values: object) -> None:
        log = logger().debug if quiet or not is_news else logger().info
        log(event, **values)
        self._has_logged = True


def _values(target: str | None, retry: Waiting) -> dict[str, object]:
    of = {} if target is None else {"target": target}
    return {
        **of,
        "what": retry.what,
        "reason": retry.reason,
        "delay_s": round(retry.delay_s, 1),
    }
