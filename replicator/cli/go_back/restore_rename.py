"""`restore --rename`: restores a datasource beside the live one, and removes it again."""

import shlex
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from replicator.app import Application
from replicator.app.verbs.restoring import Decided, Place
from replicator.app.verbs.side_copies import refuse_name_of_source
from replicator.cli.bytes_there import were_there
from replicator.cli.command import PARTLY_DONE, OpenCall, Outcome, agree
from replicator.cli.go_back.witnessed import go_without, show_testimony
from replicator.cli.terminal.console import good, paper
from replicator.cli.terminal.screen import Screen
from replicator.errors import ConfigError
from replicator.model.operations.words import counted, size_text
from replicator.model.plans.expectation import expectation, refuse_unexpected, sorted_keys
from replicator.model.plans.restore_point import RestorePoint
from replicator.model.store.testimony import testimony_json
from replicator.services.restore.renamer import ForgetPlan, RenamePlan
from replicator.services.target.copier import Uncopied


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """`--rename old=new`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameOptions:
    """The options of a restore under another name, after the restore point was found."""

    into: str
    """Name of the target that is written to."""
    names: Names
    point: RestorePoint
    dry_run: bool
    yes: bool
    accept_gaps: bool
    expect: str | None


def names(text: str, datasource: str | None) -> Names:
    """Return the two names.

    Raises:
        ConfigError: the text is not `old=new`, or `--datasource` names another datasource.
    """
    old, separator, new = text.partition("=")
    if not separator or not old or not new or old == new:
        raise ConfigError(f"--rename {text}: write it as OLD=NEW, two different names")
    if datasource not in {None, old}:
        raise ConfigError(
            f"--datasource {datasource} and --rename {text} are about two datasources"
        )
    return Names(old=old, new=new)


async def rename(call: OpenCall, decided: Decided, request: RenameOptions) -> Outcome:
    """Show the plan of the restore, ask the operator, and carry it out."""
    await refuse_name_of_source(call.application, request.into, request.names.new)
    renamer, testimony = decided.renamer(), decided.testimony
    plan = await renamer.plan(request.point, datasource=request.names.old, to=request.names.new)
    expect = expectation(
        cut=[plan.cut.offset, plan.cut.closed.digest],
        rows_to_write=plan.picks.tobytes(),
        missing=sorted(gap.key for gap in plan.estimate.missing),
    )
    refuse_unexpected(request.expect, expect)
    if not call.as_json:
        _show_plan(paper(), plan, request)
        show_testimony(paper(), testimony)
    shown = {**_plan_json(plan), "witness": testimony_json(testimony)}
    if request.dry_run:
        return Outcome(result={"plan": shown, "expect": expect, "done": False}, show=lambda _: None)
    agree(request.into, yes=request.yes, doing="a restore")
    await go_without(decided)
    missing = await renamer.execute(plan, accept_gaps=request.accept_gaps)
    done = {
        "objects_copied": call.screen.copied_objects,
        "bytes_copied": call.screen.copied_bytes,
        "objects_unread": call.screen.reused_objects,
        "missing": [{"row": row.key.key, "detail": row.detail} for row in missing],
    }
    return Outcome(
        result={"plan": shown, "done": True, **done},
        show=lambda console: _show_done(console, plan, request, call.screen, missing),
        exit_code=PARTLY_DONE if missing else 0,
    )


async def forget(
    application: Application,
    target: str,
    datasource: str,
    *,
    dry_run: bool,
    yes: bool,
    expect: str | None,
) -> Outcome:
    """Show the rows to remove, ask the operator, and remove them."""
    renamer = (await Place(target=target, into=target).decide(application)).renamer()
    plan = await renamer.plan_forget(datasource)
    now = expectation(
        renamed=[plan.renamed.original, plan.renamed.offset], rows_to_remove=sorted_keys(plan.keys)
    )
    refuse_unexpected(expect, now)
    text = (
        f"forget {datasource} of {target}, restored from {plan.renamed.original} at cut"
        f" {plan.renamed.cut}: {counted(plan.rows, 'row')} to remove, the bytes stay"
    )
    if not dry_run:
        agree(target, yes=yes, doing="a removal")
        await renamer.forget(plan)
    return Outcome(
        result={"plan": _forget_json(plan), "expect": now, "done": not dry_run},
        show=lambda console: console.print(text, markup=False),
    )


def _forget_json(plan: ForgetPlan) -> dict[str, Any]:
    renamed = plan.renamed
    return {
        "datasource": renamed.datasource,
        "original": renamed.original,
        "cut": renamed.cut,
        "offset": renamed.offset,
        "rows_removed": plan.rows,
    }


def _plan_json(plan: RenamePlan) -> dict[str, Any]:
    return {
        "cut": plan.cut.closed.cut,
        "offset": plan.cut.offset,
        "source_time": plan.cut.closed.source_time,
        "datasource": plan.renamed.original,
        "renamed_to": plan.renamed.datasource,
        "segments": plan.estimate.segments,
        "other_rows": plan.estimate.other_rows,
        "objects": plan.estimate.objects,
        "bytes_at_most": plan.estimate.size_bytes,
    }


def _show_plan(console: Console, plan: RenamePlan, request: RenameOptions) -> None:
    estimate = plan.estimate
    console.print(
        f"restore {plan.renamed.original} of cut {plan.cut.closed.cut} (offset {plan.cut.offset})"
        f" as {plan.renamed.datasource} in {request.into}, beside what is there",
        markup=False,
    )
    console.print(f"  segments to write  {estimate.segments}, and {estimate.other_rows} load rules")
    console.print(
        f"  bytes              at most {size_text(estimate.size_bytes)} in {estimate.objects}"
        " segments, less what is there already: that is shared, not copied"
    )


def _show_done(
    console: Console,
    plan: RenamePlan,
    request: RenameOptions,
    screen: Screen,
    missing: tuple[Uncopied, ...],
) -> None:
    new = plan.renamed.datasource
    console.print(
        good("done"),
        f": {request.into} has {new}; {counted(screen.copied_objects, 'segment')} copied"
        f" ({size_text(screen.copied_bytes)}), {were_there(screen.reused_objects)}"
        f"{' and not read' if screen.reused_objects else ''}",
        sep="",
    )
    for row in missing:
        console.print(f"  without {row.words}: {row.detail}", markup=False)
    console.print(
        f"  it is in no cut and does not change; `replicator restore {request.into}"
        f" --forget-renamed {shlex.quote(new)}` removes it. Never let Druid kill it: its bytes are"
        f" those of {plan.renamed.original}. Nor let the source have a datasource of that name:"
        f" `status` says if it has",
        markup=False,
    )
