"""`promote` and `failover`: make a standby the primary, as planned or after a disaster."""

from collections.abc import Collection
from math import isnan
from typing import Annotated, Any

import typer
from rich.console import Console

from replicator.app.verbs.known_faults import KnownFaults, known_faults
from replicator.cli.command import Changes, OpenCall, Outcome, agree
from replicator.cli.terminal import signals
from replicator.cli.terminal.console import good, paper
from replicator.cli.verb import Expect, verb
from replicator.model.checkpoint import Checkpoint
from replicator.model.druid.cluster_config import Configuration
from replicator.model.operations.words import age_text, counted, enumerated, whole_time
from replicator.model.plans.expectation import expectation, refuse_unexpected
from replicator.services.standby.promoter import Behind, PromotionPlan, refuse_moving_source

Target = Annotated[str, typer.Argument(help="The target that becomes a primary.")]
Chosen = Annotated[
    list[str] | None,
    typer.Option("--supervisor", metavar="ID", help="Resume only this one; may be repeated."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DRAIN_MAX_S = 604_800
SHOWN_MAX = 20
"""Datasources that a text names; the JSON document names all."""


def _number(value: float) -> float:
    if isnan(value):
        raise typer.BadParameter("a number of seconds is expected")
    return value


@verb("promote", changes=Changes.ONCE_AGREED)
async def promote(
    call: OpenCall,
    target: Target,
    supervisor: Chosen = None,
    drain_timeout_s: Annotated[
        float,
        typer.Option(
            min=1,
            max=DRAIN_MAX_S,
            callback=_number,
            help="Longest wait for the target to catch up.",
        ),
    ] = 600.0,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
) -> Outcome:
    """Make a target the primary without loss, after its source was brought to rest."""
    application = call.application
    promoter = await application.standbys.promoter(target)
    checkpoint, chosen = await application.checkpoint(target), frozenset(supervisor or ("all",))
    if not (checkpoint and checkpoint.promoted):
        await refuse_moving_source(application.source.metadata())
        if not dry_run:
            if expect is not None:
                before = await promoter.plan(chosen=chosen)
                refuse_unexpected(expect, _expectation(before))
            if not (call.as_json or yes):
                _say_what_comes(target, checkpoint, await promoter.behind())
            agree(target, yes=yes, doing="a promotion")
            await (await application.replication.drain(target)).run(timeout_s=drain_timeout_s)
            # The drain took a while, in which a supervisor may have been resumed: what it commits
            # would be lost.
            await refuse_moving_source(application.source.metadata())
    plan = await promoter.plan(chosen=chosen)
    now = _expectation(plan)
    if not dry_run:
        signals.WORK.so_far = None  # also if the operator had agreed before, and it continues
        plan = await promoter.execute(plan)
    faults = await known_faults(application, target, plan.checkpoint)
    return _outcome(target, plan, faults, now, done=not dry_run, drains=True)


def _say_what_comes(target: str, checkpoint: Checkpoint | None, behind: Behind | None) -> None:
    at = "nothing yet" if checkpoint is None else f"cut {checkpoint.cut}"
    rest = "" if behind is None else f", {_changes(behind)},"
    paper().print(
        f"{target} is at {at}, and its source rests: the rest{rest} is applied, then {target}"
        " becomes the primary",
        markup=False,
    )


@verb("failover", changes=Changes.ONCE_AGREED)
async def failover(
    call: OpenCall,
    target: Target,
    supervisor: Chosen = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    expect: Expect = None,
) -> Outcome:
    """Make a target the primary as it is; its source is gone and must not come back by itself."""
    promoter = await call.application.standbys.promoter(target)
    plan = await promoter.plan(chosen=frozenset(supervisor) if supervisor else None)
    faults = await known_faults(call.application, target, plan.checkpoint)
    now = _expectation(plan)
    refuse_unexpected(expect, now)
    if not call.as_json and not dry_run and not yes:
        _show(paper(), target, plan, faults, done=False)
    if not dry_run:
        agree(target, yes=yes, doing="a promotion")
        plan = await promoter.execute(plan)
    return _outcome(target, plan, faults, now, done=not dry_run)


def _outcome(
    target: str,
    plan: PromotionPlan,
    faults: KnownFaults,
    expect: str,
    *,
    done: bool,
    drains: bool = False,
) -> Outcome:
    return Outcome(
        result=_json(plan, faults, expect, done=done),
        show=lambda console: _show(console, target, plan, faults, done=done, drains=drains),
    )


def _expectation(plan: PromotionPlan) -> str:
    """Return the text that binds a promotion to its plan.

    It lacks the cut: a promotion catches up first, and while a watcher still polls, the target
    moves from idle cut to idle cut.
    """
    configured, rules = plan.configuration or Configuration(), plan.rules
    return expectation(
        supervisors=sorted([one.id, sorted(one.offsets.items())] for one in plan.resumptions),
        left_suspended=sorted(plan.asleep),
        load_rules=None if rules is None else sorted(map(repr, rules)),
        configured=sorted(map(repr, configured.rows)),
    )


def _json(plan: PromotionPlan, faults: KnownFaults, expect: str, *, done: bool) -> dict[str, Any]:
    checkpoint, behind = plan.checkpoint, plan.behind
    configured = plan.configuration or Configuration()
    is_cut_short = behind is not None and behind.cut_short_at is not None
    counts = None if is_cut_short else behind
    return {
        "expect": expect,
        "done": done,
        "cut": checkpoint.cut,
        "offset": checkpoint.offset,
        "source_time": checkpoint.source_time,
        "supervisors": [{"id": one.id, "offsets": dict(one.offsets)} for one in plan.resumptions],
        "left_suspended": list(plan.asleep),
        "log_was_read": behind is not None,
        "log_cut_short": is_cut_short,
        "lost_cuts": counts.cuts if counts else None,
        "lost_events": counts.events if counts else None,
        "lost_datasources": sorted(counts.datasources) if counts else None,
        "gaps": len(faults.gaps),
        "differences": None if faults.bad is None else faults.bad.findings,
        "proved_at": faults.proved_at,
        "drop_rules_restored": plan.rules is not None,
        "rules_of": None if plan.rules is None else sorted(one.datasource for one in plan.rules),
        "configured": [row.name for row in configured.rows],
        "not_configured": [
            {"name": one.name, "why": one.why} for one in (*configured.left, *plan.left)
        ],
    }


def _show(
    console: Console,
    target: str,
    plan: PromotionPlan,
    faults: KnownFaults,
    *,
    done: bool,
    drains: bool = False,
) -> None:
    """Print a plan; one with `drains` begins by applying the rest of the log."""
    at = plan.checkpoint
    state = good("is a primary") if done else "would become a primary"
    console.print(
        f"{target} ",
        state,
        f" at cut {at.cut}: offset {at.offset}, {whole_time(at.source_time)}",
        sep="",
    )
    for one in plan.resumptions:
        place = ", ".join(f"{key}: {number}" for key, number in one.offsets.items())
        console.print(f"  resumed  {one.id} at {place or 'its beginning'}", markup=False)
    for id_ in plan.asleep:
        console.print(f"  left suspended  {id_}", markup=False)
    _show_configuration(console, plan)
    if plan.behind is None:
        console.print(
            "  the log is away: what the source committed after that time is not counted, and load"
            " rules that drop, compaction, dynamic configuration and users have to be set by hand"
        )
    elif plan.behind.cut_short_at is not None:
        console.print(
            f"  the log was cut short: it ends at offset {plan.behind.cut_short_at}, before that"
            " cut, so it is unknown what the source committed after it; load rules that drop,"
            " compaction and dynamic configuration are those of the log's last cut. If there is a"
            " newer copy of the log, put it back first"
        )
    elif plan.behind.events and drains and not done:
        console.print(f"  applied first: {_changes(plan.behind)}", markup=False)
    elif plan.behind.events:
        console.print(
            f"  lost: {_changes(plan.behind)}; and what the source committed after its last cut",
            markup=False,
        )
    else:
        console.print("  the log holds nothing after that cut")
    _show_faults(console, target, faults)


def _show_faults(console: Console, target: str, faults: KnownFaults) -> None:
    """Print the rows of its cut that the target is known to lack."""
    now = faults.looked_at
    if faults.gaps:
        rows = counted(len(faults.gaps), "row")
        console.print(f"  lacks {rows} of that cut: `replicator points` names these gaps")
    if (bad := faults.bad) is not None:
        console.print(
            f"  `verify` found {counted(bad.findings, 'difference')} at level {bad.level}"
            f" {age_text(now - bad.proved_at)}, and none was good since"
        )
    if faults.unknown:
        console.print(f"  results of `verify` cannot be read: {faults.unknown}", markup=False)
    elif faults.proved_at is None:
        console.print(
            f"  it was never compared with the log: `replicator verify {target} --level rows`"
        )
    else:
        found = age_text(now - faults.proved_at)
        console.print(f"  it was compared with the log and found equal {found}")


def _changes(behind: Behind) -> str:
    return (
        f"{counted(behind.events, 'change')} in {counted(behind.cuts, 'cut')} that the log holds"
        f" after it{_of(behind.datasources)}"
    )


def _of(datasources: Collection[str]) -> str:
    names = sorted(datasources)
    more = [f"{len(names) - SHOWN_MAX} more"] if len(names) > SHOWN_MAX else []
    return f", of {enumerated([*names[:SHOWN_MAX], *more])}" if names else ""


def _show_configuration(console: Console, plan: PromotionPlan) -> None:
    configured = plan.configuration or Configuration()
    if plan.rules:
        console.print(f"  load rules{_of({one.datasource for one in plan.rules})}", markup=False)
    for row in configured.rows:
        console.print(f"  configured  {row.name}", markup=False)
    for one in (*configured.left, *plan.left):
        console.print(f"  not taken over  {one.name}: {one.why}", markup=False)
