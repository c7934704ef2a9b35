"""`drill`: restores into a scratch place, verifies the result, and keeps the evidence."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from replicator.app.verbs import drills
from replicator.app.wiring.target import store_points
from replicator.cli.command import Changes, OpenCall, Outcome
from replicator.cli.each_target import exit_code, of_each, show_not_seen
from replicator.cli.go_back.restore import wanted_point
from replicator.cli.go_back.when import ToOffsetOption, ToPointOption, ToTimeOption
from replicator.cli.terminal import signals
from replicator.cli.terminal.console import bad, good
from replicator.cli.terminal.paragraphs import listing
from replicator.cli.verb import LogId, verb
from replicator.config.values import duration
from replicator.errors import ConfigError
from replicator.model.fingerprint import hex_digest
from replicator.model.operations.words import counted, duration_text, moment, size_text, whole_time
from replicator.model.plans.restore_point import Latest
from replicator.model.store.drill import AnyCut, DrillPoint, Evidence, evidence_json
from replicator.model.store.drilled import Drilled
from replicator.model.store.testimony import WITHOUT_WITNESS
from replicator.services.inspection.points_report import NotSeen
from replicator.services.records.drill_record import DrillRecord
from replicator.services.running.pause import unless
from replicator.services.running.supervisor import stop_on_signals
from replicator.services.store.points import StorePoints

FAILED = 9
A_TARGET = "<TARGET>"
"""Name of the command `drill TARGET` in its group; no target can have this name."""


class _Drills(TyperGroup):
    """`drill list`, and `drill` with any other word, which is a target's name or an option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, "--help"}:
            args = [A_TARGET, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Drills,
    help="Prove that a target's store alone is enough, or list the proofs.",
    no_args_is_help=True,
)


@app.command(A_TARGET)
@verb("drill")
async def drill(
    call: OpenCall,
    target: Annotated[str, typer.Argument(help="The target whose store is drilled.")],
    to_offset: ToOffsetOption = None,
    to_time: ToTimeOption = None,
    to_point: ToPointOption = None,
    random: Annotated[
        bool, typer.Option("--random", help="Drill a random restorable cut; default: the newest.")
    ] = False,
    unless_younger: Annotated[
        str | None,
        typer.Option(
            "--unless-younger",
            metavar="TIME",
            help="Do nothing while the last good drill is younger than this, like 6d.",
        ),
    ] = None,
    log_id: LogId = None,
    without_witness: Annotated[
        bool,
        typer.Option(WITHOUT_WITNESS, help="Do not ask the store's witness; the evidence says so."),
    ] = False,
) -> Outcome:
    """Restore a cut from a target's store into a scratch place, verify it, keep the evidence."""
    application = call.application
    configured = application.target(target)
    if unless_younger is not None:
        drilled = await DrillRecord(configured.area()).drilled()
        if drilled.keeps(_age(unless_younger), application.clock.now()):
            return _not_due(target, drilled)
    points = store_points(configured, application.clock)
    point = await _point(points, to_point, to_offset, to_time, random=random)
    store = drills.DrilledStore(target=configured, log_id=log_id, without_witness=without_witness)
    stop = asyncio.Event()
    stop_on_signals(stop, told=lambda: signals.end_within(signals.CLEANING_UP_S))
    work = drills.drill(store, point, application.settings, application.tools)
    found = await unless(stop, work)
    if found is None:
        return _interrupted()
    return Outcome(
        result=evidence_json(found),
        show=lambda console: _show(console, found),
        exit_code=0 if found.is_good else FAILED,
    )


@app.command("list")
@verb("drill list", changes=Changes.NEVER)
async def list_(
    call: OpenCall,
    target: Annotated[
        str | None, typer.Argument(help="Only this target's.", show_default=False)
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=1000, help="Show at most N drills of each target.")
    ] = 20,
) -> Outcome:
    """List the evidence of drills in the targets' stores, newest first."""
    application = call.application
    names = application.target_names if target is None else [target]
    kept, failures = await of_each(
        names, lambda name: DrillRecord(application.target(name).area()).newest(limit)
    )
    found = [evidence for read, _ in kept.values() for evidence in read]
    faults = [fault for _, altered in kept.values() for fault in altered]
    return Outcome(
        result={
            "drills": [evidence_json(evidence) for evidence in found],
            "faults": faults,
            "failures": list(map(asdict, failures)),
        },
        show=lambda console: _show_all(console, found, faults, failures),
        exit_code=exit_code(failures),
    )


async def _point(
    points: StorePoints,
    name: str | None,
    to_offset: int | None,
    to_time: str | None,
    *,
    random: bool,
) -> DrillPoint:
    if (name, to_offset, to_time) == (None, None, None):
        return AnyCut() if random else Latest()
    if random:
        raise ConfigError("--random draws a cut: it does not go with another point")
    return await wanted_point(points, name, to_offset, to_time, None)


def _age(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as exc:
        raise ConfigError(f"--unless-younger: {exc}") from exc


def _not_due(target: str, drilled: Drilled) -> Outcome:
    assert drilled.last_good is not None  # noqa: S101 - it is young
    ended = drilled.last_good.ended_at
    return Outcome(
        result={"not_due": True, "last_good_drill_at": ended},
        show=lambda console: console.print(
            f"{target} needs no drill: the last good one ended {whole_time(ended)}"
        ),
    )


def _interrupted() -> Outcome:
    text = "interrupted: nothing of the drill is left, and no evidence was kept"
    return Outcome(
        result={"interrupted": True},
        show=lambda console: console.print(text),
        exit_code=signals.INTERRUPTED,
    )


def _show(console: Console, found: Evidence) -> None:
    restored = found.rehearsed
    if restored is not None:
        console.print(
            f"{found.target} restored to cut {restored.cut}: offset {restored.offset},"
            f" {whole_time(restored.source_time)}"
        )
        console.print(
            f"  {counted(restored.rows, 'row')} compared,"
            f" {counted(restored.objects, 'object')} read and checksummed;"
            f" the log's digest is {hex_digest(restored.digest)}"
        )
    if (trial := found.trial) is not None:
        console.print(
            f"  Druid {trial.release} loaded {counted(trial.segments, 'segment')} and read"
            f" {counted(trial.rows, 'row')}"
        )
    for step in found.steps:
        size = "" if step.size_bytes is None else f", {size_text(step.size_bytes)}"
        console.print(f"  {step.name:<7} {step.seconds:.1f} s{size}")
    for finding in found.findings:
        console.print(f"  BAD {finding}", markup=False)
    if found.not_proved is not None:
        console.print(f"  NOT PROVED {found.not_proved}", markup=False)
    if found.is_good:
        console.print("  ", good("good"), f": a recovery takes {found.recovery_s:.1f} s", sep="")
    else:
        console.print("  ", bad(f"{found.findings_count} differences"), sep="")


def _show_all(
    console: Console,
    found: Sequence[Evidence],
    faults: Sequence[str],
    failures: Sequence[NotSeen],
) -> None:
    show_not_seen(console, failures)
    for fault in faults:
        console.print(f"DAMAGED {fault}", markup=False)
    if not found:
        console.print("no drill has left evidence yet" if not failures else "no other evidence")
        return
    heads = ("target", "began", "took", "point", "offset", "rows", "recovery", "result")
    for line in listing(heads, list(map(_cells, found)), console.width):
        console.print(line, markup=False)


def _cells(one: Evidence) -> Sequence[str]:
    return (
        one.target,
        moment(one.started_at),
        duration_text(one.ended_at - one.started_at),
        one.point,
        str(one.rehearsed.offset) if one.rehearsed else "-",
        str(one.rehearsed.rows) if one.rehearsed else "-",
        f"{one.recovery_s:.1f} s",
        _result(one),
    )


def _result(one: Evidence) -> str:
    if one.failure is not None:
        return f"FAILED: {one.failure}"
    return "good" if one.is_good else f"BAD: {one.findings_count} differences"
