"""How far each target is, and whether its promise is kept."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from replicator.errors import NotFoundError
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import ClosedCut
from replicator.model.restore_point import Latest
from replicator.ports import Clock, MetadataWriter
from replicator.services.history import History


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStatus:
    """What the log holds."""

    log_id: str
    records: int
    last: ClosedCut | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStatus:
    """Where one target is."""

    target: str
    checkpoint: Checkpoint | None
    applied_at: datetime | None
    lag: timedelta | None
    """Now less the source's time of the cut that the target is at; None before the first cut."""
    lag_records: int | None
    """Records of the log after the target's cut, up to the last closed one."""
    gaps: tuple[Gap, ...]
    """Those of the cut that the target is at."""
    rpo: timedelta

    @property
    def keeps_promise(self) -> bool:
        """Whether the lag is within the promise; a target that stands still on purpose keeps it."""
        checkpoint = self.checkpoint
        if checkpoint is not None and (checkpoint.standing or checkpoint.promoted):
            return True
        return self.lag is not None and self.lag <= self.rpo


async def log_status(history: History) -> LogStatus:
    """Return what the log holds; an empty status when there is no log yet."""
    try:
        span = await history.span()
    except NotFoundError:
        return LogStatus(log_id="", records=0, last=None)
    last = await history.find(Latest()) if await history.has_cuts(span) else None
    return LogStatus(log_id=span.log_id, records=span.end - span.first, last=last)


async def target_status(
    *,
    source: str,
    target: str,
    metadata: MetadataWriter,
    log: LogStatus,
    clock: Clock,
    rpo: timedelta,
) -> TargetStatus:
    """Return where a target is, from its own checkpoint and the log's end."""
    held = await metadata.held(source)
    checkpoint = held.checkpoint
    if checkpoint is None:
        return TargetStatus(
            target=target,
            checkpoint=None,
            applied_at=None,
            lag=None,
            lag_records=log.last.offset + 1 if log.last else None,
            gaps=(),
            rpo=rpo,
        )
    gaps = tuple(gap for gap in await metadata.gaps(source) if gap.at(checkpoint.offset))
    return TargetStatus(
        target=target,
        checkpoint=checkpoint,
        applied_at=held.applied_at,
        lag=clock.now() - checkpoint.source_time,
        lag_records=max(0, log.last.offset - checkpoint.offset) if log.last else None,
        gaps=gaps,
        rpo=rpo,
    )
