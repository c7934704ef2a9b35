"""Everything in `status`, as one document: processes, promises, restores and troubles."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from replicator.model.operations.scheduled_run import RunState
from replicator.model.operations.words import age_text, counted
from replicator.services.monitoring.trouble import Seen, Trouble, troubles
from replicator.web.status_json import (
    error_json,
    life_json,
    schedules_json,
    source_json,
    status_json,
    stream_json,
)

if TYPE_CHECKING:
    from replicator.model.store.canary import CanarySummary
    from replicator.services.monitoring.drops import RecentDrop
    from replicator.services.monitoring.side_copies import MixedCopy
    from replicator.services.notifications.queues import WebhookQueue
    from replicator.services.schedules.states import LineState
    from replicator.services.store.windows import Windows


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """One look at everything."""

    seen: Seen
    restorable: Mapping[str, Windows]
    """Windows by target; a target that cannot be read, or has no history, is missing."""
    schedules: Sequence[LineState] = ()
    """The targets' schedules."""
    canaries: Sequence[CanarySummary] = ()
    """The canary's results for the targets."""
    webhooks: Sequence[WebhookQueue] = ()
    """Deliveries to operators."""
    drops: Sequence[RecentDrop] | None = None
    """Datasources that were dropped at the source lately; None: nobody looked, or nobody could."""
    mixed: Sequence[MixedCopy] = ()
    """Copies beside what the targets follow that the source's rows are mixed with."""
    away_since: Mapping[str, datetime] = field(default_factory=dict)
    """Since when targets cannot be looked at; empty: this is the only look."""

    @property
    def wrong(self) -> Sequence[Trouble]:
        """Everything that is wrong, the worst first."""
        runs, queues = map(_bad_run, self.schedules), map(_untold, self.webhooks)
        mixed = map(_mixed, self.mixed)
        return [*troubles(self.seen), *self._lost, *mixed, *filter(None, (*runs, *queues))]

    @property
    def _lost(self) -> Iterator[Trouble]:
        """Say what a store lost of its history, by the names of its files."""
        for name, one in sorted(self.restorable.items()):
            if one.faults:
                more = f", and {len(one.faults) - 1} more" if len(one.faults) > 1 else ""
                yield Trouble(
                    f"{name}: its history is damaged: {one.faults[0]}{more}", f"repair {name}"
                )

    def of(self, targets: Collection[str]) -> StatusReport:
        """Return the report on some targets only; no count of the log stays, and no webhook."""
        seen = self.seen
        life = replace(
            seen.life,
            appliers={name: one for name, one in seen.life.appliers.items() if name in targets},
        )
        limited = replace(
            seen,
            life=life,
            log=replace(seen.log, is_counted=False),
            targets=[one for one in seen.targets if one.target in targets],
            failures={name: one for name, one in seen.failures.items() if name in targets},
        )
        restorable = {name: one for name, one in self.restorable.items() if name in targets}
        schedules = [one for one in self.schedules if one.line.target in targets]
        return StatusReport(
            seen=limited,
            restorable=restorable,
            schedules=schedules,
            canaries=[one for one in self.canaries if one.target in targets],
            mixed=[one for one in self.mixed if one.target in targets],
            away_since={name: at for name, at in self.away_since.items() if name in targets},
        )


def _mixed(found: MixedCopy) -> Trouble:
    """Say that a copy is not what it was any more, and that it can be had under another name."""
    name, original = found.copy.datasource, found.copy.original
    return Trouble(
        f"{found.target}: {name} is a copy of {original}, as it was in cut {found.copy.cut}, and"
        " the source has a datasource of that name now, whose rows come beside the copy's and may"
        f" hide them; restore {original} under another name if the copy is needed",
        remedy=f"restore {found.target} --forget-renamed {shlex.quote(name)}",
    )


def _bad_run(state: LineState) -> Trouble | None:
    """Return how the last run of a schedule went wrong, as something that is wrong."""
    run, line = state.last, state.line
    if run is None or state.ended in {None, RunState.GOOD}:
        return None
    ago = age_text(state.looked_at - (run.ended_at or run.started_at))
    lost = f"its process on {run.host} ended without a word"
    why = lost if state.ended is RunState.LOST else run.message
    what = f"the schedule {line.schedule} ({line.kind}) of {line.target} was {state.ended} {ago}"
    return Trouble(f"{what}: {why}".removesuffix(": "), remedy=line.verb)


def _untold(queue: WebhookQueue) -> Trouble | None:
    """Return the trouble of a webhook with dead deliveries."""
    if not queue.length.dead:
        return None
    count = counted(queue.length.dead, "notification")
    return Trouble(
        f"{queue.webhook} did not take {count}, which will not be sent again: {queue.length.error}",
        remedy="notifications list --state dead",
    )


def report_json(
    report: StatusReport,
    typed: Callable[[Trouble], str],
    undone: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the result of `status --json`.

    Args:
        report: What was seen.
        typed: Returns the command that helps against a trouble, as it is typed; '' for none.
        undone: The command that brings each dropped datasource back, as it is typed.
    """
    seen = report.seen
    return {
        "source": {**source_json(seen.source), "change_stream": stream_json(seen.life)},
        "running": life_json(seen.life),
        "polled_as_promised": not seen.is_overdue,
        **status_json(seen.log, seen.targets),
        "failures": [
            {
                "what": f"target {name}",
                "since": report.away_since.get(name),
                **error_json(error),
            }
            for name, error in sorted(seen.failures.items())
        ],
        "restorable": [
            {
                "target": name,
                "first": one.windows[0].first.closed.source_time,
                "last": one.windows[-1].last.closed.source_time,
                "last_offset": one.windows[-1].last.offset,
                "windows": len(one.windows),
            }
            for name, one in sorted(report.restorable.items())
            if one.windows
        ],
        "schedules": schedules_json(report.schedules),
        "canaries": [asdict(one) for one in report.canaries],
        "webhooks": [
            {
                "webhook": one.webhook,
                "waiting": one.length.waiting,
                "dead": one.length.dead,
                "error": one.length.error,
                "unknown": one.unknown,
            }
            for one in report.webhooks
        ],
        "dropped": None
        if report.drops is None
        else [
            {
                "datasource": one.datasource,
                "cut": one.cut.closed.cut,
                "offset": one.cut.offset,
                "source_time": one.cut.closed.source_time,
                "type": (undone or {}).get(one.datasource, ""),
            }
            for one in report.drops
        ],
        "wrong": [{"what": one.what, "type": typed(one)} for one in report.wrong],
    }
