"""What `run` logs of cuts: a line a cut of each target at most, none when nothing happens."""

from dataclasses import dataclass, field

from replicator.cli.terminal.log_lines import logger
from replicator.model.observation import BaseWritten, CutApplied, CutPublished, ObjectCopied
from replicator.ports import Clock


@dataclass(slots=True)
class CutLines:
    """Of the watcher, or of one target, with what was copied since its last cut."""

    target: str | None
    clock: Clock
    _has_told: bool = False
    _copied: int = 0
    _bytes: int = 0
    _there: int = field(default=0)

    def copied(self, one: ObjectCopied) -> None:
        """Count a segment for the next line."""
        if one.reused:
            self._there += 1
            return
        self._copied += 1
        self._bytes += one.size_bytes

    def published(self, cut: CutPublished) -> None:
        """Tell of a cut of the source; of one without a change only first of all."""
        self._tell(
            "cut published",
            quiet=not cut.events,
            cut=cut.cut,
            offset=cut.offset,
            events=cut.events,
            rows=cut.scanned_rows,
            poll_s=round(cut.poll_s, 3),
        )

    def applied(self, cut: CutApplied) -> None:
        """Tell of a cut that the target has now."""
        lag = self.clock.now() - cut.source_time
        self._tell(
            "first filling done" if cut.is_filling else "cut applied",
            quiet=not (cut.rows or self._copied),
            target=self.target,
            cut=cut.cut,
            offset=cut.offset,
            rows=cut.rows,
            segments=self._copied,
            bytes=self._bytes,
            already_there=self._there,
            lag_s=round(lag.total_seconds(), 1),
        )
        self._copied = self._bytes = self._there = 0

    def based(self, base: BaseWritten) -> None:
        """Tell of a base in the target's store."""
        logger().info(
            "base written", target=self.target, cut=base.cut, offset=base.offset, rows=base.rows
        )

    def _tell(self, event: str, *, quiet: bool, **values: object) -> None:
        if quiet and self._has_told:
            logger().debug(event, **values)
        else:
            logger().info(event, **values)
        self._has_told = True
