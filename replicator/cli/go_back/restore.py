"""`restore`: shows its plan, asks the operator, and restores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from replicator.app import Application
from replicator.app.verbs.preparing import prepare
from replicator.app.verbs.restoring import Place
from replicator.cli.bytes_there import unread, were_there
from replicator.cli.command import PARTLY_DONE, Changes, OpenCall, Outcome, agree
from replicator.cli.go_back.commands import goes_on
from replicator.cli.go_back.effects import effect_lines, effects_json
from replicator.cli.go_back.restore_rename import RenameOptions, forget, names, rename
from replicator.cli.go_back.when import (
    Moment,
)
from replicator.cli.go_back.witnessed import WithoutWitness, go_without, show_testimony
from replicator.cli.terminal.console import good, paper
from replicator.cli.terminal.screen import Screen
from replicator.cli.terminal.signals import NOTHING_CHANGED
from replicator.cli.terminal.typed import parse_time
from replicator.cli.verb import Expect, FromStore, LogId, verb
from replicator.errors import ConfigError, RefusedError
from replicator.model.event import Offset
from replicator.model.operations.words import (
    counted,
    duration_text,
    eta_text,
    size_text,
    whole_time,
)
from replicator.model.plans.expectation import expectation, refuse_unexpected, sorted_keys
from replicator.model.plans.restore_point import BeforeEvent, RestorePoint, ToOffset, ToTime
from replicator.model.store.holds import checked_name
from replicator.model.store.rates import Rates
from replicator.model.store.testimony import testimony_json
from replicator.services.restore.restorer import RestorePlan
from replicator.services.store.points import StorePoints
from replicator.services.target.copier import Uncopied

DatasourceOption = Annotated[str | None, typer.Option("--datasource", help="Only this one.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Adopt = Annotated[
    bool, typer.Option("--adopt", help="Take over a target that already contains other rows.")
]
AcceptGaps = Annotated[
    bool, typer.Option("--accept-gaps", help="Restore the rest when bytes are missing.")
]
Stand = Annotated[
    bool,
    typer.Option("--pause", help="Pause the target even if its rows are those of the cut already."),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaceOptions:
    """The options for the target whose bytes a restore uses and for the target it changes."""

    target: Annotated[
        str | None, typer.Argument(help="The target whose bytes are used.", show_default=False)
    ] = None
    into: Annotated[str | None, typer.Option("--into", help="Change this target instead.")] = None
    from_: FromStore = None
    log_id: LogId = None
    by_reference: Annotated[
        bool,
        typer.Option(
            "--by-reference",
            help="With --from: do not copy bytes; the store's own objects are served.",
        ),
    ] = False
    without_witness: WithoutWitness = False

    def place(self) -> Place:
        """Return the source of the bytes and the changed target.

        Raises:
            ConfigError: the options name no target, or contradict each other.
        """
        if (self.target is None) == (self.from_ is None):
            raise ConfigError("say the target whose bytes are used, or --from and its name")
        if self.from_ is not None and self.into is None:
            raise ConfigError("--from needs --into: which target is to be changed")
        if self.from_ is None and (
            self.by_reference or self.log_id is not None or self.without_witness
        ):
            raise ConfigError("--by-reference, --log and --without-witness go with --from")
        used = self.target or self.from_ or ""
        return Place(
            target=used,
            into=self.into or used,
            from_store=self.from_ is not None,
            log_id=self.log_id,
            by_reference=self.by_reference,
            without_witness=self.without_witness,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """The options of a restore, after the restore point was found."""

    place: Place
    point: RestorePoint
    datasource: str | None
    dry_run: bool
    yes: bool
    adopt: bool = False
    pause: bool = False
    accept_gaps: bool
    expect: str | None = None
    """Text of `expectation` for the plan that the operator agreed to; None: ask the operator."""

    @property
    def changed(self) -> str:
        """Name of the target that is written to."""
        return self.place.into


@verb("restore", changes=Changes.ONCE_AGREED)
async def restore(
    call: OpenCall,
    whose: PlaceOptions,
    moment: Moment,
    datasource: DatasourceOption = None,
    rename_: Annotated[
        str | None,
        typer.Option("--rename", help="OLD=NEW: restore OLD as NEW, beside the live datasource."),
    ] = None,
    forget_renamed: Annotated[
        str | None,
        typer.Option("--forget-renamed", help="Remove a datasource that --rename has restored."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    yes: Yes = False,
    adopt: Adopt = False,
    pause: Stand = False,
    accept_gaps: AcceptGaps = False,
    expect: Expect = None,
) -> Outcome:
    """Make a target's rows exactly those of an earlier cut; the target is then paused there.

    If its rows are those of the cut already, nothing is changed and the target is not paused.
    `restore plan` writes the plan to a file, and `restore run` carries out such a file.
    """
    application = call.application
    place = whose.place()
    if forget_renamed is not None:
        return await forget(
            application, place.into, forget_renamed, dry_run=dry_run, yes=yes, expect=expect
        )
    point = await moment.point(application, place)
    if rename_ is not None:
        beside = RenameOptions(
            into=place.into,
            names=names(rename_, datasource),
            point=point,
            dry_run=dry_run,
            yes=yes,
            accept_gaps=accept_gaps,
            expect=expect,
        )
        return await rename(call, await place.decide(application), beside)
    request = RestoreOptions(
        place=place,
        point=point,
        datasource=datasource,
        dry_run=dry_run,
        yes=yes,
        adopt=adopt,
        pause=pause,
        accept_gaps=accept_gaps,
        expect=expect,
    )
    return await carry_out(call, request)


async def carry_out(call: OpenCall, request: RestoreOptions) -> Outcome:
    """Show the plan of a restore, ask the operator, and carry it out."""
    application, screen = call.application, call.screen
    so_far = await _make_tables(call, request)
    decided = await request.place.decide(application)
    restorer, testimony = decided.restorer(), decided.testimony
    plan = await restorer.plan(
        request.point,
        datasource=request.datasource,
        adopt=request.adopt,
        pause=request.pause,
    )
    expect = _expectation(plan)
    refuse_unexpected(request.expect, expect)
    plan = replace(plan, held=request.expect is not None)
    eta_s = _eta_s(plan, await application.rates(request.changed))
    if not call.as_json:
        _show_plan(paper(), plan, request, eta_s)
        show_testimony(paper(), testimony)
    shown = {**_plan_json(plan, eta_s), "witness": testimony_json(testimony)}
    if request.dry_run:
        planned = {"plan": shown, "expect": expect, "done": False}
        return Outcome(result=planned, show=lambda _: None)
    if plan.changes_nothing:
        return _nothing_to_do(shown)
    agree(request.changed, yes=request.yes, doing="a restore", so_far=so_far)
    await go_without(decided)
    missing = await restorer.execute(plan, accept_gaps=request.accept_gaps)
    done = {
        "objects_copied": screen.copied_objects,
        "bytes_copied": screen.copied_bytes,
        "objects_unread": screen.reused_objects,
        "missing": [{"row": row.key.key, "detail": row.detail} for row in missing],
    }
    then = await after_a_pause(application, plan, request.changed)
    return Outcome(
        result={"plan": shown, "done": True, "already": False, **done},
        show=lambda console: show_done(console, plan, request.changed, screen, missing, then),
        exit_code=PARTLY_DONE if missing else 0,
    )


async def _make_tables(call: OpenCall, request: RestoreOptions) -> str:
    """Create Druid's tables in an empty target, for the rows in the store to restore.

    Returns:
        What was done, for the message if the operator does not agree to the restore itself.

    Raises:
        RefusedError: the target has no tables, and the operator did not agree to create them.
    """
    name, target = request.changed, call.application.target(request.changed)
    if not request.place.from_store or await target.metadata.is_made():
        return NOTHING_CHANGED
    if request.dry_run:
        raise RefusedError(
            f"target {name!r} has no tables of a Druid, and a plan compares its rows",
            hint=f"`replicator target create {name}` makes them, by what the store holds",
        )
    if not (request.yes or call.as_json):
        paper().print(f"{name} has no tables of a Druid yet: they are made before all else")
    making = "empty target to make Druid's tables in"
    agree(name, yes=request.yes, doing="making Druid's tables", what=making)
    created = await prepare(call.application, name, release=None, centralized=False)
    if (tables := created.tables) is not None and not call.as_json:
        paper().print(f"{name}: the tables of Druid {tables.release} were made: {tables.because}")
    return f"the tables of Druid were made in {name}, and no row was written"


def _nothing_to_do(shown: dict[str, Any]) -> Outcome:
    nothing = {"objects_copied": 0, "bytes_copied": 0, "objects_unread": 0, "missing": []}
    return Outcome(
        result={"plan": shown, "done": True, "already": True, **nothing},
        show=lambda _: None,
    )


def why_nothing(plan: RestorePlan, target: str) -> list[str]:
    """Return why nothing is done, and whether the target pauses."""
    rows = "its rows are" if plan.datasource is None else f"its rows of {plan.datasource} are"
    lines = [f"nothing to do: {rows} those of cut {plan.cut.closed.cut} already"]
    held = plan.state.checkpoint
    if held is not None and held.paused:
        return [*lines, f"{target} stays paused"]
    lines.append(f"nothing was changed, and {target} goes on following the source")
    if plan.datasource is None:
        lines.append("use --pause as well to pause it there")
    return lines


async def wanted_point(
    points: StorePoints,
    name: str | None,
    to_offset: int | None,
    to_time: str | None,
    before: int | None,
) -> RestorePoint:
    """Return the given restore point, perhaps by its name in a target's store.

    Raises:
        ConfigError: no point was given, or more than one.
        NotFoundError: the store has no point of this name.
    """
    if name is None:
        return restore_point(to_offset, to_time, before)
    if (to_offset, to_time, before) != (None, None, None):
        raise ConfigError("use --to-point alone, or another point")
    point = await points.point(checked_name(name))
    return ToOffset(offset=point.offset, log_id=point.log_id)


def restore_point(to_offset: int | None, to_time: str | None, before: int | None) -> RestorePoint:
    """Return the given restore point.

    Raises:
        ConfigError: no point was given, or more than one.
    """
    given: list[RestorePoint] = []
    if to_offset is not None:
        given.append(ToOffset(offset=Offset(to_offset)))
    if to_time is not None:
        given.append(ToTime(time=parse_time(to_time)))
    if before is not None:
        given.append(BeforeEvent(offset=Offset(before)))
    if len(given) != 1:
        raise ConfigError("use exactly one of --to-offset, --to-time, --before and --to-point")
    return given[0]


def _eta_s(plan: RestorePlan, rates: Rates) -> float | None:
    """Estimate the duration from measured rates; bytes that the target has count as well."""
    estimate = plan.estimate
    rows = estimate.segments + estimate.other_rows + estimate.removals
    return rates.seconds(size_bytes=estimate.size_bytes, rows=rows)


def _expectation(plan: RestorePlan) -> str:
    found, estimate = plan.reconciliation.plan, plan.estimate
    return expectation(
        cut=[found.checkpoint.log_id, plan.cut.offset, plan.cut.closed.digest],
        rows_to_write=np.sort(found.picks).tobytes(),
        rows_to_remove=sorted_keys(found.surplus),
        missing=sorted(gap.key for gap in estimate.missing),
        nothing_to_do=plan.changes_nothing,
    )


def _plan_json(plan: RestorePlan, eta_s: float | None) -> dict[str, Any]:
    estimate = plan.estimate
    return {
        "cut": plan.cut.closed.cut,
        "offset": plan.cut.offset,
        "source_time": plan.cut.closed.source_time,
        "datasource": plan.datasource,
        "segments": estimate.segments,
        "other_rows": estimate.other_rows,
        "rows_removed": estimate.removals,
        "changes_nothing": plan.changes_nothing,
        "objects": estimate.objects,
        "bytes_at_most": estimate.size_bytes,
        "by_datasource": dict(estimate.by_datasource),
        "effects": effects_json(estimate),
        "known_missing": [
            {"row": gap.key, "reason": gap.reason, "detail": gap.detail} for gap in estimate.missing
        ],
        "eta_seconds": None if eta_s is None else round(eta_s, 1),
    }


def _show_plan(
    console: Console, plan: RestorePlan, request: RestoreOptions, eta_s: float | None
) -> None:
    estimate, closed = plan.estimate, plan.cut.closed
    only = f", datasource {plan.datasource} only" if plan.datasource else ""
    console.print(
        f"restore {request.changed} to cut {closed.cut}: offset {plan.cut.offset},"
        f" {whole_time(closed.source_time)}{only}"
    )
    if plan.changes_nothing:
        for line in why_nothing(plan, request.changed):
            console.print(f"  {line}", markup=False)
        return
    if plan.reconciliation.plan.is_empty:
        console.print("  its rows are those of the cut already; it is to be paused there")
    console.print(f"  segments to write  {estimate.segments}")
    console.print(f"  other rows         {estimate.other_rows}")
    console.print(f"  rows to remove     {estimate.removals} (their bytes stay)")
    at_most = (
        f"at most {size_text(estimate.size_bytes)} in {counted(estimate.objects, 'segment')}, less"
        " what is there already"
    )
    console.print(f"  bytes              {at_most if estimate.objects else 'none'}")
    console.print(f"  time               {eta_text(eta_s)}")
    for line in effect_lines(estimate):
        console.print(f"    {line}", markup=False)
    for gap in estimate.missing:
        console.print(f"  MISSING {gap.words}: {gap.reason}, {gap.detail}", markup=False)


def show_done(
    console: Console,
    plan: RestorePlan,
    into: str,
    screen: Screen,
    missing: tuple[Uncopied, ...],
    then: Sequence[str],
) -> None:
    """Print the result of a restore."""
    is_at = f"{into} is at cut {plan.cut.closed.cut}"
    if plan.datasource is not None:
        is_at = f"{plan.datasource} of {into} is as it was in cut {plan.cut.closed.cut}"
    console.print(
        good("done"),
        f": {is_at};"
        f" {counted(screen.copied_objects, 'segment')} copied ({size_text(screen.copied_bytes)}),"
        f" {were_there(screen.reused_objects)}",
        sep="",
    )
    for row in missing:
        console.print(f"  without {row.words}: {row.detail}", markup=False)
    for line in (*unread(into, screen.reused_objects), *then):
        console.print(f"  {line}", markup=False)


async def after_a_pause(application: Application, plan: RestorePlan, into: str) -> Sequence[str]:
    """Return how a restored target can continue."""
    log_id = plan.reconciliation.plan.checkpoint.log_id
    lines = [f"it is paused there; {await goes_on(application, into, log_id)}"]
    if application.settings.log is not None and (delayed := _delayed(application, plan, into)):
        lines.append(delayed)
    return lines


def _delayed(application: Application, plan: RestorePlan, into: str) -> str:
    """Return what a delayed target does once it is resumed: it never goes back by itself."""
    delay = application.target(into).settings.delay
    if not delay:
        return ""
    after, age = duration_text(delay), application.clock.now() - plan.cut.closed.source_time
    if age < delay and plan.datasource is None:
        return f"then it stays at this cut until that is {after} old, and follows {after} behind"
    return f"its rows then follow {after} behind the source"
