"""Promises, gaps and drills of one look, as facts that may be notified."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from replicator.model.operations.notification import NAMED_MAX, Sighting, Topic
from replicator.model.operations.pulse import HaltedService
from replicator.services.monitoring.life import Life, LifeSigns
from replicator.services.monitoring.poller import Poller
from replicator.services.monitoring.status import (
    DRILL,
    KILL_MARGIN,
    LOG_MARGIN,
    RPO,
    TargetStatus,
)

POLL = "poll"
"""Name of the promise that a watcher polls the source."""
LOG, LOOK, HALTED = "log", "look", "halted"


def sightings(poller: Poller) -> Iterator[Sighting]:
    """Yield what the last look has found; for what could not be seen, only that."""
    failure = poller.log_failure
    yield Sighting(
        topic=Topic.STATUS,
        target=None,
        name=LOG,
        is_bad=failure is not None,
        summary="the log can be read" if failure is None else f"the log: {failure.error}",
    )
    if failure is not None:
        return
    if poller.life is not None:
        statuses = [seen.status for seen in poller.seen.values()]
        is_overdue = poller.life.is_overdue(statuses)
        summary = "no watcher polls the source" if is_overdue else "the source is polled"
        yield Sighting(
            topic=Topic.PROMISE, target=None, name=POLL, is_bad=is_overdue, summary=summary
        )
        yield from _halts(poller.life)
    for name in poller.names:
        yield from _of_target(poller, name)


def _halts(life: LifeSigns) -> Iterator[Sighting]:
    """Tell of each target whether an error has halted what keeps it up to date."""
    for name, halts in sorted(halted(life).items()):
        yield Sighting(
            topic=Topic.STATUS,
            target=name,
            name=HALTED,
            is_bad=bool(halts),
            summary=f"{name} has halted: {halts[0].reason}" if halts else f"{name} goes on",
            details={"halted": [{"what": one.what, "hint": one.hint} for one in halts]},
        )


def halted(life: LifeSigns) -> Mapping[str, Sequence[HaltedService]]:
    """Return for each target that a process keeps up to date what has halted of that."""
    return {
        name: applier.pulse.halts
        for name, applier in life.appliers.items()
        if applier.life is Life.RUNNING and applier.pulse is not None
    }


def _of_target(poller: Poller, name: str) -> Iterator[Sighting]:
    failure = poller.failures.get(name)
    yield Sighting(
        topic=Topic.STATUS,
        target=name,
        name=LOOK,
        is_bad=failure is not None,
        summary=f"{name} can be looked at" if failure is None else f"{name}: {failure.error}",
    )
    seen = poller.seen.get(name)
    if failure is None and seen is not None:
        yield from _promises(seen.status)
        yield _gaps(seen.status)
        yield from _drill(seen.status)


def _promises(status: TargetStatus) -> Iterator[Sighting]:
    facts: Mapping[str, tuple[timedelta | None, timedelta | None]] = {
        RPO: (status.lag, status.promises.rpo),
        KILL_MARGIN: (status.kill_margin, status.promises.kill_margin_min),
        LOG_MARGIN: (status.log_margin, status.promises.log_margin_min),
        DRILL: (None, status.promises.drill),
    }
    for promise, (measured, promised) in facts.items():
        is_bad = promise in status.broken
        yield Sighting(
            topic=Topic.PROMISE,
            target=status.target,
            name=promise,
            is_bad=is_bad,
            summary=f"{status.target} {'breaks' if is_bad else 'keeps'} {promise}"
            + (
                ""
                if measured is None or promised is None
                else f": {_s(measured)} s, {_s(promised)} s promised"
            ),
            details={"seconds": _s(measured), "promised_seconds": _s(promised)},
        )


def _s(duration: timedelta | None) -> int | None:
    return None if duration is None else round(duration.total_seconds())


def _gaps(status: TargetStatus) -> Sighting:
    """Tell gaps by the newest cut that has one: a further one is reported, too."""
    newest = sorted(status.gaps, key=lambda gap: gap.opened, reverse=True)
    named: list[Mapping[str, Any]] = [
        {"row": gap.key, "datasource": gap.datasource, "reason": gap.reason, "offset": gap.opened}
        for gap in newest[:NAMED_MAX]
    ]
    count = len(newest)
    rows = "1 row has a gap" if count == 1 else f"{count} rows have gaps"
    return Sighting(
        topic=Topic.GAP,
        target=status.target,
        name="gaps",
        is_bad=bool(newest),
        mark=newest[0].opened + 1 if newest else 0,
        summary=f"{status.target}: {rows}" if newest else f"{status.target} has no gap any more",
        details={"gaps": count, "newest": named},
    )


def _drill(status: TargetStatus) -> Iterator[Sighting]:
    """Tell each drill that went wrong, and the first good one after it."""
    last = status.drilled.last
    if last is None:
        return
    why = last.failure or f"{last.findings_count} findings"
    yield Sighting(
        topic=Topic.DRILL,
        target=status.target,
        name="drill",
        is_bad=not last.is_good,
        mark=int(last.ended_at.timestamp()),
        summary=f"a drill of {status.target} {'was good' if last.is_good else f'failed: {why}'}",
        details={"ended_at": last.ended_at, "findings": last.findings_count},
    )
