"""`status`: how far each target is, what threatens it, and whether its promises are kept."""

from datetime import timedelta

from rich.console import Console
from rich.table import Table

from replicator.app import Application
from replicator.cli.command import (
    DEFAULT_CONFIG,
    AsJson,
    Call,
    ConfigPath,
    Outcome,
    Overrides,
    duration_text,
    run,
    size_text,
)
from replicator.cli.console import Screen
from replicator.services.inspection.status import (
    DRILL,
    KILL_MARGIN,
    LOG_MARGIN,
    RPO,
    LogStatus,
    SourceStatus,
    TargetStatus,
    look_at_source,
)
from replicator.web.status_json import source_json, status_json

PROMISE_BROKEN = 10


def status(
    config: ConfigPath = DEFAULT_CONFIG, set_: Overrides = None, as_json: AsJson = False
) -> None:
    """Show the log's end, and for each target its cut, its lag, its margins and its gaps."""

    async def body(application: Application, _: Screen) -> Outcome:
        status_reader = application.status_reader()
        log = await status_reader.log()
        targets = [
            await application.target_status(status_reader, name, log)
            for name in application.target_names
        ]
        source = await look_at_source(application.source_metadata())
        return Outcome(
            result={"source": source_json(source), **status_json(log, targets)},
            show=lambda console: _show(console, source, log, targets),
            exit_code=0 if all(found.keeps_promise for found in targets) else PROMISE_BROKEN,
        )

    call = Call(command="status", config_path=config, overrides=tuple(set_ or ()), as_json=as_json)
    run(call, body)


def _show(
    console: Console, source: SourceStatus, log: LogStatus, targets: list[TargetStatus]
) -> None:
    if source.freshness is None:
        console.print(f"source: cannot be asked: {source.unknown}", markup=False)
    elif source.freshness.is_replica:
        console.print(f"source: {source.freshness.text}", markup=False)
    if not log.log_id:
        console.print("log: there is none")
    elif log.last is None:
        console.print(f"log: {log.records} records, no closed cut yet")
    else:
        last = log.last
        console.print(
            f"log: {log.records} records, last cut {last.closed.cut} at offset {last.offset},"
            f" taken {last.closed.source_time.isoformat(timespec='seconds')}"
        )
    table = Table("target", "cut", "lag", "behind", "pending", "gaps", "promise", "state")
    for found in targets:
        table.add_row(*_cells(found))
    console.print(table)
    for found in targets:
        for line in _threats(found, log):
            console.print(f"{found.target}: {line}")


def _cells(found: TargetStatus) -> tuple[str, ...]:
    checkpoint, pending = found.checkpoint, found.pending
    return (
        found.target,
        str(checkpoint.cut) if checkpoint else "-",
        duration_text(found.lag) if found.lag is not None else "-",
        "-" if found.lag_records is None else f"{found.lag_records} records",
        f"{pending.objects} segments, {size_text(pending.size_bytes)}" if pending else "-",
        str(len(found.gaps)),
        f"BROKEN: {', '.join(found.broken)}" if found.broken else "kept",
        _state(found),
    )


def _state(found: TargetStatus) -> str:
    checkpoint = found.checkpoint
    if checkpoint is None:
        return "nothing applied yet"
    if checkpoint.promoted:
        return "promoted: a primary of its own"
    if found.log_gone:
        return "its log is gone"
    if found.other_log:
        return "of another log"
    if checkpoint.paused:
        only = f" of {checkpoint.datasource}" if checkpoint.datasource else ""
        return f"paused{only} since a restore"
    return "following"


def _threats(found: TargetStatus, log: LogStatus) -> list[str]:
    """Say what is promised and broken, and what comes nearer."""
    lines, broken, promises = [], found.broken, found.promises
    if (catch_up := found.catch_up) is not None:
        rate = found.rates.bytes_per_s
        text = f", at {size_text(int(rate))}/s" if rate is not None else ""
        lines.append(f"what waits takes about {duration_text(catch_up)}{text}")
    if RPO in broken and not found.log_gone:
        lag = "has no cut yet" if found.lag is None else f"lags {duration_text(found.lag)}"
        lines.append(f"BROKEN, it {lag}, at most {duration_text(promises.rpo)} is promised")
    if found.pending and (margin := found.kill_margin) is not None:
        nearest = min(found.pending.kill_margins.items(), key=lambda item: item[1])[0]
        least = _least(KILL_MARGIN, promises.kill_margin_min, broken)
        lines.append(
            f"{least}the source's kill could delete bytes of {nearest} that are not copied"
            f" {_in(margin)}"
        )
    lines += _of_the_log(found, log)
    if (drills := _drills(found)) is not None:
        lines.append(drills)
    if found.proved:
        ages = {level: found.looked_at - at for level, at in sorted(found.proved.items())}
        text = ", ".join(f"{level} {duration_text(age)} ago" for level, age in ages.items())
        lines.append(f"last verified: {text}")
    return lines


def _of_the_log(found: TargetStatus, log: LogStatus) -> list[str]:
    if found.log_gone:
        return [
            "BROKEN, the log that it follows is not there: is its volume mounted?",
            f"if it is lost, let the watcher make a new one, then `{_goes_over(found)}`",
        ]
    if found.other_log:
        return [
            f"follows another log; if that is lost, `{_goes_over(found)}` goes over to this one"
        ]
    if found.trimmed:
        return [f"BROKEN, the log begins at offset {log.first}: what it needs was trimmed"]
    if found.log_margin is None:
        return []
    least = _least(LOG_MARGIN, found.promises.log_margin_min, found.broken)
    return [f"{least}the log may trim what it needs {_in(found.log_margin)}"]


def _goes_over(found: TargetStatus) -> str:
    return f"replicator apply {found.target} --new-log"


def _drills(found: TargetStatus) -> str | None:
    """Say how old the last good drill is; None where none was promised, and none ever made."""
    drilled, promise = found.drilled, found.promises.drill
    if drilled.unknown is not None:
        text = f"its drills cannot be looked at: {drilled.unknown}"
    elif drilled.last_good is not None:
        age = duration_text(found.looked_at - drilled.last_good.ended_at)
        text = f"the last good drill ended {age} ago"
    elif drilled.last is not None or promise is not None:
        text = "no drill was good yet"
    elif drilled.faults:
        text = "no drill that can be read was good"
    else:
        return None
    if drilled.faults:
        text += f"; DAMAGED {drilled.faults[0]}"
    if drilled.last is not None and not drilled.last.is_good:
        text += "; the last one went wrong, see `replicator drill list`"
    if promise is None or DRILL not in found.broken:
        return text
    return f"BROKEN, one each {duration_text(promise)} is promised: {text}"


def _least(promise: str, least: timedelta, broken: tuple[str, ...]) -> str:
    return f"BROKEN, at least {duration_text(least)} is promised: " if promise in broken else ""


def _in(margin: timedelta) -> str:
    return "at any moment" if margin <= timedelta(0) else f"in {duration_text(margin)}"
