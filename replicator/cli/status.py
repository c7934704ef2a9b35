"""`status`: how far each target is, and whether its promise is kept."""

from typing import Any

from rich.console import Console
from rich.table import Table

from replicator.app import Application
from replicator.cli.frame import (
    DEFAULT_CONFIG,
    AsJson,
    Call,
    ConfigPath,
    Outcome,
    Overrides,
    duration_text,
    run,
)
from replicator.cli.screen import Screen
from replicator.services.status import LogStatus, TargetStatus, log_status, target_status

PROMISE_BROKEN = 10


def status(
    config: ConfigPath = DEFAULT_CONFIG, set_: Overrides = None, as_json: AsJson = False
) -> None:
    """Show the log's end, and for each target its cut, its lag and its gaps."""

    async def body(application: Application, _: Screen) -> Outcome:
        log = await log_status(application.history)
        targets = [await _target(application, name, log) for name in application.target_names]
        broken = [found for found in targets if not found.keeps_promise]
        return Outcome(
            result={"log": _log_json(log), "targets": [_target_json(found) for found in targets]},
            show=lambda console: _show(console, log, targets),
            exit_code=PROMISE_BROKEN if broken else 0,
        )

    call = Call(command="status", config_path=config, overrides=tuple(set_ or ()), as_json=as_json)
    run(call, body)


async def _target(application: Application, name: str, log: LogStatus) -> TargetStatus:
    target = application.target(name)
    return await target_status(
        source=application.settings.source.name,
        target=name,
        metadata=target.metadata,
        log=log,
        clock=application.clock,
        rpo=target.settings.rpo,
    )


def _log_json(log: LogStatus) -> dict[str, Any]:
    return {
        "log_id": log.log_id,
        "records": log.records,
        "last_cut": log.last.closed.cut if log.last else None,
        "last_cut_offset": log.last.offset if log.last else None,
        "last_cut_source_time": log.last.closed.source_time if log.last else None,
    }


def _target_json(found: TargetStatus) -> dict[str, Any]:
    checkpoint = found.checkpoint
    return {
        "target": found.target,
        "cut": checkpoint.cut if checkpoint else None,
        "offset": checkpoint.offset if checkpoint else None,
        "source_time": checkpoint.source_time if checkpoint else None,
        "standing": checkpoint.standing if checkpoint else False,
        "promoted": checkpoint.promoted if checkpoint else False,
        "datasource": checkpoint.datasource if checkpoint else None,
        "applied_at": found.applied_at,
        "lag_seconds": found.lag.total_seconds() if found.lag else None,
        "lag_records": found.lag_records,
        "gaps": [
            {
                "row": gap.key,
                "datasource": gap.datasource,
                "reason": gap.reason,
                "since": gap.opened,
            }
            for gap in found.gaps
        ],
        "rpo_seconds": found.rpo.total_seconds(),
        "keeps_promise": found.keeps_promise,
    }


def _show(console: Console, log: LogStatus, targets: list[TargetStatus]) -> None:
    if log.last is None:
        console.print(f"log: {log.records} records, no closed cut yet")
    else:
        last = log.last
        console.print(
            f"log: {log.records} records, last cut {last.closed.cut} at offset {last.offset},"
            f" taken {last.closed.source_time.isoformat(timespec='seconds')}"
        )
    table = Table("target", "cut", "lag", "records behind", "gaps", "promise", "state")
    for found in targets:
        table.add_row(*_cells(found))
    console.print(table)


def _cells(found: TargetStatus) -> tuple[str, ...]:
    lag = duration_text(found.lag) if found.lag is not None else "-"
    behind = "-" if found.lag_records is None else str(found.lag_records)
    promise = f"{'kept' if found.keeps_promise else 'BROKEN'} ({duration_text(found.rpo)})"
    if found.checkpoint is None:
        return (found.target, "-", lag, behind, "0", promise, "nothing applied yet")
    state = "following"
    if found.checkpoint.standing:
        only = f" of {found.checkpoint.datasource}" if found.checkpoint.datasource else ""
        state = f"standing{only} after a restore"
    if found.checkpoint.promoted:
        state = "promoted: a primary of its own"
    gaps = str(len(found.gaps))
    return (found.target, str(found.checkpoint.cut), lag, behind, gaps, promise, state)
