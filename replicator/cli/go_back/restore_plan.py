"""`restore plan` and `restore run`: write a restore's plan to a file, and carry it out."""

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from typer.core import TyperGroup

from replicator.adapters.machine.privacy import refuse_foreign
from replicator.app import Application
from replicator.app.control_folder import control_folder
from replicator.app.verbs.restoring import Place
from replicator.cli.command import PARTLY_DONE, Changes, OpenCall, Outcome, agree
from replicator.cli.go_back import restore
from replicator.cli.go_back.effects import effect_lines, effects_json
from replicator.cli.go_back.when import (
    Moment,
)
from replicator.cli.go_back.witnessed import go_without, show_testimony
from replicator.cli.terminal.console import paper
from replicator.cli.terminal.screen import Screen
from replicator.cli.verb import verb
from replicator.config import RESTORE_VERBS
from replicator.errors import ConfigError, RefusedError
from replicator.model.event import Offset
from replicator.model.fingerprint import hex_digest
from replicator.model.operations.command_line import typed
from replicator.model.operations.words import counted, eta_text, size_text
from replicator.model.plans.cost import Prices
from replicator.model.plans.plan_file import (
    PlanFile,
    PlanOptions,
    World,
    checkpoint_text,
    plan_document,
    plan_of,
)
from replicator.model.plans.restore_point import ToOffset
from replicator.model.store.testimony import WITHOUT_WITNESS, Testimony, testimony_json
from replicator.services.restore.estimator import CostEstimate
from replicator.services.restore.restorer import RestorePlan
from replicator.services.target.copier import Uncopied

SHOWN_MAX = 20
PLAN_BYTES_MAX = 64 << 20
"""Limit for a plan's file; one lists a line for each datasource and each missing object."""


@verb("restore plan", changes=Changes.NEVER)
async def plan(
    call: OpenCall,
    whose: restore.PlaceOptions,
    moment: Moment,
    datasource: restore.DatasourceOption = None,
    adopt: restore.Adopt = False,
    accept_gaps: restore.AcceptGaps = False,
    no_look: Annotated[
        bool, typer.Option("--no-look", help="Do not look up objects in the storages.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write, like plan.json.")
    ] = Path("plan.json"),
) -> Outcome:
    """Write a restore's effect, duration and price to a file; nothing is changed."""
    application = call.application
    place = whose.place()
    point = await moment.point(application, place)
    decided = await place.decide(application)
    planned = await decided.restorer().plan(point, datasource=datasource, adopt=adopt)
    cost_estimate = await decided.estimator().estimate(
        planned.reconciliation.plan.picks, removals=planned.estimate.removals, look=not no_look
    )
    options = _options(place, planned, adopt=adopt, accept_gaps=accept_gaps)
    file = PlanFile(options=options, world=_world(application, place, planned))
    prices = application.settings.prices
    shown = {
        "made_at": application.clock.now(),
        **_shown(planned, cost_estimate, prices.prices if prices else None),
        "witness": testimony_json(decided.testimony),
    }
    document = plan_document(file, shown)
    _write(output, document)
    return Outcome(
        result={"file": str(output), **document},
        show=lambda console: _show(
            console, output, place.into, planned, cost_estimate, shown, decided.testimony
        ),
    )


@verb("restore run", changes=Changes.ONCE_AGREED)
async def run_plan(
    call: OpenCall,
    file: Annotated[Path, typer.Argument(help="File that `restore plan` wrote.")],
    yes: restore.Yes = False,
) -> Outcome:
    """Carry out a plan that is not out of date, or continue one that was interrupted."""
    application = call.application
    found = plan_of(_read(file), str(file))
    options = found.options
    place = Place(
        target=options.target,
        into=options.into,
        from_store=options.from_store,
        log_id=options.log_id,
        by_reference=options.by_reference,
        without_witness=options.without_witness,
    )
    decided = await place.decide(application)
    restorer = decided.restorer()
    planned = await restorer.plan(
        ToOffset(offset=Offset(found.world.cut_offset)),
        datasource=options.datasource,
        adopt=options.adopt,
    )
    if _is_done(planned):
        return await _outcome(planned, options, application, call.screen, (), already=True)
    if changes := found.world.changes(_world(application, place, planned)):
        raise RefusedError(
            f"nothing was changed: the plan is out of date: {'; '.join(changes)}",
            hint=_hint(application, options, file, planned),
        )
    if planned.changes_nothing:
        return await _outcome(planned, options, application, call.screen, (), already=True)
    if not (call.as_json or yes):
        estimate = planned.estimate
        paper().print(
            f"{file}: restore {options.into} to cut {planned.cut.closed.cut},"
            f" {counted(estimate.segments, 'segment')} to write,"
            f" {counted(estimate.removals, 'row')} to remove"
        )
        for line in effect_lines(estimate):
            paper().print(f"    {line}", markup=False)
        show_testimony(paper(), decided.testimony)
    agree(options.into, yes=yes, doing="a restore")
    await go_without(decided)
    missing = await restorer.execute(planned, accept_gaps=options.accept_gaps)
    return await _outcome(planned, options, application, call.screen, missing, already=False)


def _hint(application: Application, options: PlanOptions, file: Path, planned: RestorePlan) -> str:
    """Return how to make the plan again; the operator knows no file of a control API's plan."""
    web = application.settings.web
    if web is not None and web.control is not None:
        from replicator.control.work.launch import PLANS  # noqa: PLC0415 - few plans are of jobs

        if file.parent == control_folder(application.settings) / PLANS:
            return (
                f"ask for the plan again, and read it; while {options.into} follows a source that"
                " changes, ask for `pause` before"
            )
    return f"make it again with `{_again(options, file, planned)}`, and read it"


def _again(options: PlanOptions, file: Path, planned: RestorePlan) -> str:
    """Return the command that makes the same plan again."""
    whose = ["--from", options.target] if options.from_store else [options.target]
    flags = [
        *(["--into", options.into] if options.into != options.target else []),
        *(["--log", options.log_id] if options.log_id is not None else []),
        *(["--by-reference"] if options.by_reference else []),
        *([WITHOUT_WITNESS] if options.without_witness else []),
        *(["--datasource", options.datasource] if options.datasource is not None else []),
        *(["--adopt"] if options.adopt else []),
        *(["--accept-gaps"] if options.accept_gaps else []),
    ]
    point = ["--to-offset", str(planned.cut.offset), "--output", str(file)]
    return shlex.join(["replicator", "restore", "plan", *whose, *point, *flags])


def _is_done(planned: RestorePlan) -> bool:
    """Return whether the plan was carried out completely before."""
    stands_there = planned.state.checkpoint == planned.reconciliation.plan.checkpoint
    return planned.changes_nothing and stands_there


def _options(place: Place, planned: RestorePlan, *, adopt: bool, accept_gaps: bool) -> PlanOptions:
    log_id = planned.reconciliation.plan.checkpoint.log_id
    return PlanOptions(
        target=place.target,
        into=place.into,
        from_store=place.from_store,
        log_id=log_id if place.from_store else None,
        by_reference=place.by_reference,
        without_witness=place.without_witness,
        datasource=planned.datasource,
        adopt=adopt,
        accept_gaps=accept_gaps,
    )


def _world(application: Application, place: Place, planned: RestorePlan) -> World:
    found = planned.reconciliation
    return World(
        log_id=found.plan.checkpoint.log_id,
        cut_offset=planned.cut.offset,
        cut_digest=hex_digest(planned.cut.closed.digest),
        checkpoint=checkpoint_text(planned.state.checkpoint),
        rows=hex_digest(found.present),
        storages=place.storage_digests(application),
    )


def _shown(planned: RestorePlan, found: CostEstimate, prices: Prices | None) -> dict[str, Any]:
    estimate, closed = planned.estimate, planned.cut.closed
    state = planned.state
    return {
        "cut": {
            "cut": closed.cut,
            "offset": planned.cut.offset,
            "source_time": closed.source_time,
        },
        "target_was": {
            "cut": state.checkpoint.cut if state.checkpoint else None,
            "offset": state.checkpoint.offset if state.checkpoint else None,
            "epoch": state.epoch,
        },
        "segments": estimate.segments,
        "other_rows": estimate.other_rows,
        "rows_removed": estimate.removals,
        "changes_nothing": planned.changes_nothing,
        "looked": found.looked,
        "objects_there": found.there if found.looked else None,
        "objects_to_copy": found.objects,
        "bytes_to_copy": found.size_bytes,
        "objects_server_side": found.server_side_objects,
        "bytes_streamed": found.streamed_bytes,
        "requests": found.requests._asdict(),
        "by_datasource": {name: asdict(one) for name, one in sorted(found.by_datasource.items())},
        "effects": effects_json(estimate),
        "missing_count": found.missing_count,
        "missing": [{"row": row, "detail": why} for row, why in found.missing],
        "known_missing": [
            {"row": gap.key, "reason": gap.reason, "detail": gap.detail} for gap in estimate.missing
        ],
        "bytes_per_s": found.rates.bytes_per_s,
        "rows_per_s": found.rates.rows_per_s,
        "probed": found.probed,
        "eta_seconds": None if found.eta_s is None else round(found.eta_s, 1),
        "price": None
        if prices is None
        else {
            "currency": prices.currency,
            "once": round(prices.once(found.requests, found.streamed_bytes), 4),
            "monthly": round(prices.monthly(found.size_bytes), 4),
        },
    }


def _write(path: Path, document: dict[str, Any]) -> None:
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    try:
        with open(path, "wb", opener=_opened) as file:
            file.write(orjson.dumps(document, option=options))
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror}") from exc


def _opened(path: str, flags: int) -> int:
    """Open a file for this user alone: a plan shows a cluster's contents and prices.

    Where others can write, another user may have put a file or a link in its place.
    """
    if not Path(path).is_char_device():
        refuse_foreign([Path(path)], "a plan")
    return os.open(path, flags, 0o600)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            found = file.read(PLAN_BYTES_MAX + 1)
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    if len(found) > PLAN_BYTES_MAX:
        raise ConfigError(f"{path} has more than {PLAN_BYTES_MAX} bytes: it is no plan")
    return found


async def _outcome(
    planned: RestorePlan,
    options: PlanOptions,
    application: Application,
    screen: Screen,
    missing: tuple[Uncopied, ...],
    *,
    already: bool,
) -> Outcome:
    then = () if already else await restore.after_a_pause(application, planned, options.into)

    def show(console: Console) -> None:
        if already:
            for line in restore.why_nothing(planned, options.into):
                console.print(line, markup=False)
        else:
            restore.show_done(console, planned, options.into, screen, missing, then)

    return Outcome(
        result={
            "into": options.into,
            "cut": planned.cut.closed.cut,
            "offset": planned.cut.offset,
            "done": True,
            "already": already,
            "segments": planned.estimate.segments,
            "rows_removed": planned.estimate.removals,
            "objects_copied": screen.copied_objects,
            "bytes_copied": screen.copied_bytes,
            "objects_unread": screen.reused_objects,
            "missing": [{"row": row.key.key, "detail": row.detail} for row in missing],
        },
        show=show,
        exit_code=PARTLY_DONE if missing else 0,
    )


def _show(
    console: Console,
    path: Path,
    into: str,
    planned: RestorePlan,
    found: CostEstimate,
    shown: dict[str, Any],
    testimony: Testimony | None,
) -> None:
    estimate = planned.estimate
    console.print(f"{path}: to cut {planned.cut.closed.cut}, offset {planned.cut.offset}")
    if planned.changes_nothing:
        for line in restore.why_nothing(planned, into):
            console.print(f"  {line}", markup=False)
        return
    show_testimony(console, testimony)
    console.print(
        f"  rows      {counted(estimate.segments, 'segment')}, {estimate.other_rows} others,"
        f" {estimate.removals} to remove"
    )
    for line in effect_lines(estimate):
        console.print(f"    {line}", markup=False)
    there = f", {found.there} are there" if found.looked else " at most: the target was not checked"
    console.print(
        f"  bytes     {size_text(found.size_bytes)} in {counted(found.objects, 'location')}{there}"
    )
    console.print(
        f"  how       {found.server_side_objects} copied by the storage itself,"
        f" {size_text(found.streamed_bytes)} through this process"
    )
    console.print(f"  requests  {found.requests.get} that read, {found.requests.put} that write")
    console.print(f"  time      {eta_text(found.eta_s)}" + (", by a probe" if found.probed else ""))
    if price := shown["price"]:
        console.print(
            f"  price     {price['once']} {price['currency']}, and {price['monthly']} a month"
        )
    for row, why in found.missing[:SHOWN_MAX]:
        console.print(f"  MISSING {row}: {why}", markup=False)
    if found.missing_count > SHOWN_MAX:
        console.print(f"  and {found.missing_count - SHOWN_MAX} more")
    for gap in estimate.missing[:SHOWN_MAX]:
        console.print(f"  KNOWN GAP {gap.words}: {gap.reason}, {gap.detail}", markup=False)
    console.print(f"  `replicator {typed('restore run', str(path))}` carries it out", markup=False)


RESTORE = "TARGET"
"""Name of the restore itself in usage messages."""


class RestoreGroup(TyperGroup):
    """`restore plan` and `restore run`; everything else is `restore TARGET`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read arguments that name no verb as those of the restore itself."""
        if not args or args[0] not in RESTORE_VERBS:
            args = [RESTORE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(cls=RestoreGroup, help="Bring a target to an earlier cut.")
app.command(RESTORE, hidden=True)(restore.restore)
app.command("plan")(plan)
app.command("run")(run_plan)
