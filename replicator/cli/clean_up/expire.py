"""`expire`: shows its plan, then deletes everything that no restore point needs any more."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from replicator.app import Application
from replicator.cli.command import Changes, OpenCall, Outcome, agree
from replicator.cli.terminal.console import good, paper
from replicator.cli.verb import Expect, verb
from replicator.config.values import duration
from replicator.errors import ConfigError, RefusedError
from replicator.model.event import ClosedCut
from replicator.model.operations.words import counted, duration_text, size_text, whole_time
from replicator.model.plans.expectation import expectation, refuse_unexpected
from replicator.services.retention.expirer import Expired
from replicator.services.retention.planner import ExpiryPlan

PARTLY_DONE = 3
DATASOURCES_SHOWN_MAX = 20
ORPHANS_SHOWN_MAX = 20
LOCKED_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    target: str
    retention: timedelta
    orphans: bool
    storage: bool
    dry_run: bool
    yes: bool
    expect: str | None


@verb("expire", changes=Changes.ONCE_AGREED)
async def expire(
    call: OpenCall,
    target: Annotated[str, typer.Argument(help="The target whose store is cleaned up.")],
    retention: Annotated[
        str | None, typer.Option("--retention", help="Use this retention instead, like 30d.")
    ] = None,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="Also delete objects that no event refers to.")
    ] = False,
    listing: Annotated[
        bool,
        typer.Option(
            help="List the storage to find sizes and orphans; it takes a request for each thousand"
            " objects."
        ),
    ] = True,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    expect: Expect = None,
) -> Outcome:
    """Delete bytes and history that no point in the retention, no hold and no restore needs."""
    request = _Request(
        target=target,
        retention=retention_of(call.application, target, retention),
        orphans=orphans,
        storage=listing,
        dry_run=dry_run,
        yes=yes,
        expect=expect,
    )
    return await _carry_out(call, request)


async def _carry_out(call: OpenCall, request: _Request) -> Outcome:
    if request.orphans and not request.storage:
        raise ConfigError("--orphans needs the listing: leave --no-listing out")
    retention = await call.application.retention(request.target)
    plan = await retention.planner().plan(
        request.retention, storage=request.storage, orphans=request.orphans
    )
    now = _expectation(plan, orphans=request.orphans)
    refuse_unexpected(request.expect, now)
    if not call.as_json:
        _show_plan(paper(), plan, request)
    strays = request.orphans and plan.storage is not None and plan.storage.orphans
    if request.dry_run or (plan.is_empty and not strays):
        planned = {"plan": _plan_json(plan), "expect": now, "done": False}
        return Outcome(result=planned, show=lambda _: None)
    agree(
        request.target,
        yes=request.yes,
        doing="an expiry",
        what="target that loses them",
        so_far="nothing was deleted",
    )
    expired = await retention.expirer().carry_out(plan, orphans=request.orphans)
    return Outcome(
        result={"plan": _plan_json(plan), "done": True, **_expired_json(expired)},
        show=lambda console: _show_done(console, expired),
        exit_code=PARTLY_DONE if expired.locked else 0,
    )


def retention_of(application: Application, target: str, given: str | None) -> timedelta:
    """Return the retention that was given on the command line, or the configured one.

    Raises:
        ConfigError: the given text is not a duration.
        RefusedError: no retention is given or configured.
    """
    if given is not None:
        try:
            if (length := duration(given)) > timedelta(0):
                return length
        except ValueError as exc:
            raise ConfigError(f"--retention {given}: {exc}") from exc
        raise ConfigError(f"--retention {given}: the newest cut at least is kept, so use 1s")
    if (found := application.target(target).settings.retention) is None:
        raise RefusedError(
            f"target {target!r} keeps everything for ever: targets.{target}.retention is not set",
            hint="set it, or use --retention 30d",
        )
    return found


def _expectation(plan: ExpiryPlan, *, orphans: bool) -> str:
    files, found = plan.expired_files, plan.storage
    strays = sorted(one.location for one in found.orphans) if orphans and found else []
    return expectation(
        horizon=[plan.log_id, plan.horizon],
        segments=np.sort(plan.unreferenced).tobytes(),
        files=sorted((*files.history, *files.base_files)),
        holds=sorted(hold.point.name for hold in plan.holds),
        orphans=strays,
    )


def _plan_json(plan: ExpiryPlan) -> dict[str, Any]:
    found = plan.storage
    return {
        "horizon": plan.horizon,
        "oldest_before": _cut_json(plan.oldest_before),
        "oldest_after": _cut_json(plan.oldest_after),
        "locations": len(plan.unreferenced),
        "datasources": dict(plan.datasources),
        "kept_locations": len(plan.marked.locations.hashes()),
        "history_files": len(plan.expired_files.history),
        "bases": len(plan.expired_files.bases),
        "holds": [hold.point.name for hold in plan.holds],
        "storage": None
        if found is None
        else {
            "objects": found.expiring,
            "bytes": found.expiring_bytes,
            "orphans": [one.location for one in found.orphans],
            "orphan_bytes": found.orphans_bytes,
            "young": found.young,
            "foreign": found.foreign,
            "foreign_bytes": found.foreign_bytes,
        },
    }


def _cut_json(cut: ClosedCut) -> dict[str, Any]:
    closed = cut.closed
    return {"offset": cut.offset, "cut": closed.cut, "source_time": closed.source_time}


def _expired_json(expired: Expired) -> dict[str, Any]:
    return {
        "expiry": expired.number,
        "removed": expired.locations,
        "orphans_removed": expired.orphans,
        "files_removed": expired.files,
        "needed_again": expired.needed_again,
        "locked": expired.locked,
    }


def _show_plan(console: Console, plan: ExpiryPlan, request: _Request) -> None:
    console.print(
        f"expire what target {request.target} does not need for the last"
        f" {duration_text(request.retention)}"
    )
    console.print(f"  oldest point now   {_point(plan.oldest_before)}")
    console.print(f"  and then           {_point(plan.oldest_after)}")
    size = f", {size_text(plan.storage.expiring_bytes)}" if plan.storage else ""
    console.print(f"  segments to delete {len(plan.unreferenced)}{size}")
    _show_datasources(console, plan.datasources)
    console.print(f"  segments to keep   {len(plan.marked.locations.hashes())}")
    console.print(
        f"  history to delete  {counted(len(plan.expired_files.history), 'file')},"
        f" {counted(len(plan.expired_files.bases), 'base')}"
    )
    for hold in plan.holds:
        console.print(
            f"  held by {hold.point.name}: {hold.reason} (offset {hold.point.offset})", markup=False
        )
    _show_storage(console, plan, request)


def _show_datasources(console: Console, datasources: Mapping[str, int]) -> None:
    """Print the datasources that lose segments, those with the largest losses first."""
    most = sorted(datasources.items(), key=lambda item: (-item[1], item[0]))
    for name, count in most[:DATASOURCES_SHOWN_MAX]:
        console.print(f"    {count} of {name}", markup=False)
    if (more := len(most) - DATASOURCES_SHOWN_MAX) > 0:
        left = sum(count for _, count in most[DATASOURCES_SHOWN_MAX:])
        console.print(f"    {left} of {counted(more, 'more datasource')}")


def _show_storage(console: Console, plan: ExpiryPlan, request: _Request) -> None:
    if (found := plan.storage) is None:
        return
    if found.orphans:
        fate = "to delete" if request.orphans else "stay without --orphans"
        console.print(
            f"  orphans            {len(found.orphans)}, {size_text(found.orphans_bytes)}, {fate}"
        )
    for one in found.orphans[:ORPHANS_SHOWN_MAX]:
        console.print(f"    {one.location}", markup=False)
    if found.young:
        console.print(
            f"  on their way       {counted(found.young, 'object')}, too young to be orphans"
        )
    if found.foreign:
        console.print(
            f"  not ours           {counted(found.foreign, 'object')},"
            f" {size_text(found.foreign_bytes)}: stay"
        )


def _point(cut: ClosedCut) -> str:
    return f"{whole_time(cut.closed.source_time)} (offset {cut.offset})"


def _show_done(console: Console, expired: Expired) -> None:
    console.print(
        good("done"),
        f": {counted(expired.locations, 'segment')}, {counted(expired.orphans, 'orphan')} and"
        f" {counted(expired.files, 'file')} of history are gone",
        sep="",
    )
    if expired.needed_again:
        again = counted(expired.needed_again, "segment")
        console.print(f"  {again} needed again meanwhile: kept")
    for one in expired.locked[:LOCKED_SHOWN_MAX]:
        console.print(f"  LOCKED {one}", markup=False)
    if expired.locked:
        console.print(
            f"  {len(expired.locked)} could not be removed, and the history stays for the next time"
        )
