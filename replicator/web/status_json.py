"""The status as a document, for `status --json` and for `/status.json`; fields are only added."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from replicator.services.monitoring.status import NAMED_MAX

if TYPE_CHECKING:
    from replicator.errors import ReplicatorError
    from replicator.model.checkpoint import Gap
    from replicator.model.operations.pulse import HaltedService
    from replicator.model.operations.scheduled_run import RunRecord
    from replicator.model.store.testimony import WitnessMemory
    from replicator.services.monitoring.life import LifeSign, LifeSigns
    from replicator.services.monitoring.poller import Failure, Poller
    from replicator.services.monitoring.status import LogStatus, SourceStatus, TargetStatus
    from replicator.services.schedules.states import LineState


def status_json(log: LogStatus, targets: Sequence[TargetStatus]) -> dict[str, Any]:
    """Return the result of a look at the log and the targets."""
    return {"log": log_json(log), "targets": [target_json(found) for found in targets]}


def seen_json(poller: Poller) -> dict[str, Any]:
    """Return the same for the last look of a poller, with what it cannot look at now."""
    if poller.log is None:
        return {"error": _error_json(poller.log_failure)}
    named = {f"target {name}": failure for name, failure in poller.failures.items()}
    failures = {"log": poller.log_failure, **named} if poller.log_failure else named
    return {
        "result": {
            "log": log_json(poller.log),
            "targets": [target_json(seen.status) for _, seen in sorted(poller.seen.items())],
            "failures": [
                {"what": what, **failure_json(failure)}
                for what, failure in sorted(failures.items())
            ],
        }
    }


def failure_json(failure: Failure) -> dict[str, Any]:
    """Return since when something cannot be looked at, and why."""
    return {"since": failure.since, **_error_json(failure)}


def _error_json(failure: Failure | None) -> dict[str, str]:
    if failure is None:
        return {"type": "NotYet", "message": "nothing was looked at yet", "hint": "ask again"}
    return error_json(failure.error)


def error_json(error: ReplicatorError) -> dict[str, str]:
    """Return an error in the form of every document."""
    return {"type": type(error).__name__, "message": str(error), "hint": error.hint}


def life_json(life: LifeSigns) -> dict[str, Any]:
    """Return which processes are running."""
    return {
        "last_poll_at": life.last_poll,
        "watcher": _sign_json(life.watcher),
        "appliers": [
            {"target": name, **_sign_json(one)} for name, one in sorted(life.appliers.items())
        ],
    }


def _sign_json(sign: LifeSign) -> dict[str, Any]:
    pulse = sign.pulse
    return {
        "state": sign.life.value,
        "unknown": sign.unknown,
        "verb": pulse.verb if pulse else None,
        "host": pulse.host if pulse else None,
        "pid": pulse.pid if pulse else None,
        "since": pulse.since if pulse else None,
        "seen_at": pulse.seen_at if pulse else None,
        "done_at": pulse.done_at if pulse else None,
        "waits_for": pulse.waits if pulse else "",
        "halted": [_halt_json(halt) for halt in pulse.halts] if pulse else [],
        "stopped_at": pulse.ended_at if pulse else None,
    }


def _halt_json(halt: HaltedService) -> dict[str, Any]:
    return {
        "what": halt.what,
        "reason": halt.reason,
        "hint": halt.hint,
        "exit_code": halt.exit_code,
        "since": halt.since,
    }


def stream_json(life: LifeSigns) -> dict[str, Any] | None:
    """Return the state of a running watcher's change stream."""
    if (stream := life.stream) is None:
        return None
    until = stream.told_until
    return {
        "up": not stream.off,
        "since": stream.since,
        "reason": stream.off,
        "told_until": until,
        "behind_seconds": None if until is None else _seconds(life.looked_at - until),
        "behind_bytes": stream.behind_bytes,
        "retained_bytes": stream.retained_bytes,
        "retained_bytes_max": stream.retained_bytes_max,
    }


def source_json(source: SourceStatus) -> dict[str, Any]:
    """Return the state of the source's metadata store."""
    found = source.freshness
    return {
        "replica": found.is_replica if found else None,
        "shows_until": found.shows if found else None,
        "behind_seconds": _seconds(found.behind) if found else None,
        "reason": found.reason if found else source.unknown,
        "not_replicated": list(source.left_behind),
    }


def log_json(log: LogStatus) -> dict[str, Any]:
    """Return the state of the log."""
    return {
        "log_id": log.log_id,
        "records": log.records if log.is_counted else None,
        "last_cut": log.last.closed.cut if log.last else None,
        "last_cut_offset": log.last.offset if log.last else None,
        "last_cut_source_time": log.last.closed.source_time if log.last else None,
        "retention_seconds": _seconds(log.retention),
    }


def target_json(found: TargetStatus) -> dict[str, Any]:
    """Return the state of one target."""
    checkpoint, pending, promises = found.checkpoint, found.pending, found.promises
    drilled = found.drilled
    return {
        "target": found.target,
        "looked_at": found.looked_at,
        "cut": checkpoint.cut if checkpoint else None,
        "offset": checkpoint.offset if checkpoint else None,
        "source_time": checkpoint.source_time if checkpoint else None,
        "paused": checkpoint.paused if checkpoint else False,
        "promoted": checkpoint.promoted if checkpoint else False,
        "datasource": checkpoint.datasource if checkpoint else None,
        "log_gone": found.log_gone,
        "follows_other_log": found.other_log,
        "log_cut_short": found.cut_short,
        "applied_at": found.applied_at,
        "lag_seconds": _seconds(found.lag),
        "lag_records": found.lag_records,
        "pending_objects": pending.objects if pending else None,
        "pending_bytes": pending.size_bytes if pending else None,
        "bytes_per_second": found.rates.bytes_per_s,
        "catch_up_seconds": _seconds(found.catch_up),
        "gap_count": len(found.gaps),
        "gaps": _gaps_json(found.newest_gaps),
        "kill_margin_seconds": _seconds(found.kill_margin),
        "kill_margins": [
            {"datasource": name, "seconds": _seconds(margin)}
            for name, margin in sorted(pending.nearest_kills(NAMED_MAX) if pending else ())
        ],
        "log_retention_margin_seconds": _seconds(found.log_margin),
        "log_trimmed": found.trimmed,
        "rpo_seconds": _seconds(promises.rpo),
        "kill_margin_min_seconds": _seconds(promises.kill_margin_min),
        "log_margin_min_seconds": _seconds(promises.log_margin_min),
        "last_drill_at": drilled.last.ended_at if drilled.last else None,
        "last_drill_good": drilled.last.is_good if drilled.last else None,
        "last_good_drill_at": drilled.last_good.ended_at if drilled.last_good else None,
        "drills_unknown": drilled.unknown,
        "drill_faults": list(drilled.faults),
        "witness": _memory_json(found.memory),
        "last_verified_at": dict(sorted(found.proved.items())),
        "drill_promise_seconds": _seconds(promises.drill),
        "keeps_promise": found.keeps_promise,
        "broken_promises": list(found.broken),
    }


def _gaps_json(gaps: Sequence[Gap]) -> list[dict[str, Any]]:
    """Return gaps; `points` lists all."""
    return [
        {
            "kind": gap.kind.value,
            "row": gap.key,
            "datasource": gap.datasource,
            "reason": gap.reason,
            "since": gap.opened,
        }
        for gap in gaps
    ]


def _memory_json(memory: WitnessMemory | None) -> dict[str, Any] | None:
    if memory is None:
        return None
    head = memory.head
    return {
        "witness": memory.witness,
        "cut": None if head is None else head.cut,
        "offset": None if head is None else head.offset,
        "source_time": None if head is None else head.source_time,
        "unknown": memory.unknown,
    }


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()


def schedules_json(states: Sequence[LineState]) -> list[dict[str, Any]]:
    """Return what is scheduled, what ran last and what runs next."""
    return [
        {
            "schedule": state.line.schedule,
            "target": state.line.target,
            "type": state.line.kind,
            "cron": state.line.timing.cron,
            "time_zone": state.line.timing.time_zone,
            "next_due": state.next_due,
            "last_good": state.last_good,
            "last": None if state.last is None else _run_json(state.last, state.looked_at),
            "unknown": state.unknown,
        }
        for state in states
    ]


def _run_json(run: RunRecord, now: datetime) -> dict[str, Any]:
    return {
        "due": run.due,
        "state": run.state_at(now).value,
        "attempt": run.attempt,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "exit_code": run.exit_code,
        "message": run.message,
        "job": run.job,
        "host": run.host,
        "missed": run.missed,
    }
