"""What `run` logs of cuts: a line a cut of each target at most, none when nothing happens.

A verb that ends says in its answer what it did: of it these lines are for `--log-level debug`.
"""

from dataclasses import dataclass, field

from replicator.cli.terminal.log_lines import logger
from replicator.cli.terminal.retry_lines import RetryLines
from replicator.model.observation import (
    BaseWritten,
    CutApplied,
    CutPublished,
    HistoryMerged,
    ObjectCopied,
)
from replicator.ports import Clock


@dataclass(slots=True)
class CutLines:
    """Of the watcher, or of one target, with what was copied since its last cut."""

    target: str | None
    clock: Clock
    retries: RetryLines = field(default_factory=RetryLines)
    _has_told: bool = False
    _copied: int = 0
    _bytes: int = 0
    _there: int = 0
    _copied_before: int = 0
    """Segments that earlier attempts at the same cut have copied."""

    def began(self) -> None:
        """Begin an attempt, which finds there what earlier ones have copied."""
        self._copied_before, self._there = self._copied, 0

    def copied(self, one: ObjectCopied) -> None:
        """Count a segment for the next line."""
        if one.reused:
            self._there += 1
            return
        self._copied += 1
        self._bytes += one.size_bytes

    def published(self, cut: CutPublished, *, quiet: bool) -> None:
        """Tell of a cut of the source; of one without a change only first of all."""
        self._tell(
            "cut published",
            quiet=quiet,
            is_news=bool(cut.events) or not self._has_told,
            cut=cut.cut,
            offset=cut.offset,
            events=cut.events,
            rows=cut.scanned_rows,
            poll_s=round(cut.poll_s, 3),
        )

    def applied(self, cut: CutApplied, *, quiet: bool) -> None:
        """Tell of a cut that the target has now."""
        lag = self.clock.now() - cut.source_time
        self._tell(
            "first filling done" if cut.is_filling else "cut applied",
            quiet=quiet,
            is_news=bool(cut.rows or self._copied) or not self._has_told,
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
        """Tell of a base in the target's store."""
        log = logger().debug if quiet else logger().info
        log("base written", target=self.target, cut=base.cut, offset=base.offset, rows=base.rows)

    def merged(self, merged: HistoryMerged, *, quiet: bool) -> None:
        """Tell of history files that were merged."""
        log = logger().debug if quiet else logger().info
        counts = {"small": merged.small, "merged": merged.merged, "deleted": merged.deleted}
        log("history merged", target=self.target, **counts)

    def _tell(self, event: str, *, quiet: bool, is_news: bool, **values: object) -> None:
        log = logger().debug if quiet or not is_news else logger().info
        log(event, **values)
        self._has_told = True
