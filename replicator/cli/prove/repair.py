"""`repair`: copies damaged or missing bytes again, after reading the copy source."""

from collections.abc import Sequence
from secrets import token_hex
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from replicator.cli.bytes_there import unread
from replicator.cli.command import Changes, OpenCall, Outcome, agree
from replicator.cli.prove.verify import FAILED, OneDatasource, OneInterval, bytes_of, share_of
from replicator.cli.terminal.console import good, paper
from replicator.cli.terminal.typed import parse_interval
from replicator.cli.verb import Expect, verb
from replicator.errors import ConfigError
from replicator.model.checkpoint import ROW_UNFIT, Gap
from replicator.model.extent import Extent
from replicator.model.operations.words import counted, enumerated, size_text
from replicator.model.plans.expectation import (
    expectation,
    parts_of,
    refuse_unexpected,
    sorted_keys,
)
from replicator.model.store.proof import Level
from replicator.services.target.gap_healer import Retried
from replicator.services.verification.repairer import Repair
from replicator.services.verification.verifier import Damaged, Verification

PARTLY_DONE = 3
SHOWN_MAX = 20
SAMPLE = "sample"
"""Name of the part of `--expect` with the seed that draws the same objects again."""


@verb("repair", changes=Changes.ONCE_AGREED)
async def repair(
    call: OpenCall,
    target: Annotated[str, typer.Argument(help="The target's name in the configuration.")],
    level: Annotated[
        Level, typer.Option(help="How damage is found: exists, or checksum.")
    ] = Level.CHECKSUM,
    from_: Annotated[
        str | None, typer.Option("--from", help="Copy from this target, not from the source.")
    ] = None,
    datasource: OneDatasource = None,
    interval: OneInterval = None,
    subset: Annotated[
        str, typer.Option(help="Share of objects, like 5%, drawn at random.")
    ] = "100%",
    bytes_max: Annotated[
        str | None, typer.Option(help="Read at most this to find damage, like 100GiB.")
    ] = None,
    structure: Annotated[
        bool, typer.Option(help="Read packed segments' structure, like `verify --structure`.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what is wrong.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    expect: Expect = None,
) -> Outcome:
    """Find a target's damage and copy the bytes again, one interval after the other."""
    if not level.is_about_objects:
        raise ConfigError(f"--level {level.value}: say exists or checksum")
    seed = token_hex(8) if expect is None else parts_of(expect).get(SAMPLE, "")
    extent = Extent(
        seed=seed,
        share=share_of(subset),
        bytes_max=None if bytes_max is None else bytes_of(bytes_max),
        structure=structure,
        datasource=datasource,
        interval=None if interval is None else parse_interval(interval),
    )
    repairer, healer = await call.application.repairer(target, from_target=from_)
    plan = await repairer.plan(level, extent=extent)
    # --interval selects objects, and a gap has none
    gaps = await healer.gaps(datasource=datasource) if interval is None else ()
    now, screen = f"{_expectation(plan, gaps)},{SAMPLE}={seed}", call.screen
    refuse_unexpected(expect, now)
    if not call.as_json:
        _show_plan(paper(), target, plan, gaps, from_ or "the source")
    if dry_run or (plan.is_good and not gaps):
        return Outcome(
            result={"plan": _plan_json(plan, gaps), "expect": now, "done": False},
            show=lambda _: None,
            exit_code=FAILED if gaps or not plan.is_good else 0,
        )
    agree(target, yes=yes, doing="a repair")
    done = await repairer.execute(plan, extent=extent)
    if plan.history_is_damaged:
        archivist = (await call.application.pipeline(target)).archivist()
        deep = plan.level is Level.CHECKSUM
        done.history = await archivist.mend(plan.checkpoint, target=target, deep=deep)
    retried = await healer.heal_all(datasource=datasource) if gaps else Retried()
    return Outcome(
        result={"plan": _plan_json(plan, gaps), "done": True, **_done_json(done, retried)},
        show=lambda console: _show_done(
            console, target, plan, done, retried, screen.reused_objects
        ),
        exit_code=_exit_code(plan, done, retried),
    )


def _expectation(plan: Verification, gaps: Sequence[Gap]) -> str:
    rows = plan.row_plan
    return expectation(
        gaps=sorted([gap.key, str(gap.opened)] for gap in gaps),
        places=sorted([one.location, one.source_location] for one in plan.damaged),
        rows_to_write=None if rows is None else np.sort(rows.picks).tobytes(),
        rows_to_remove=None if rows is None else sorted_keys(rows.surplus),
    )


def _exit_code(plan: Verification, done: Repair, retried: Retried) -> int:
    if done.is_whole and not retried.left and plan.damaged_count == len(plan.damaged):
        return 0
    return PARTLY_DONE if done.did_something or retried.copied else FAILED


def _plan_json(plan: Verification, gaps: Sequence[Gap]) -> dict[str, Any]:
    return {
        "level": plan.level.value,
        "cut": plan.checkpoint.cut,
        "offset": plan.checkpoint.offset,
        "objects": plan.objects,
        "bytes_read": plan.read_bytes,
        "objects_left": plan.left,
        "rows_differ": plan.rows_differ,
        "rows_to_remove": [{"kind": one.kind.value, "row": one.key} for one in plan.surplus],
        "damaged_count": plan.damaged_count,
        "damaged": [_damaged_json(one) for one in plan.damaged],
        "findings_count": plan.findings_count,
        "findings": plan.findings,
        "gaps": [_gap_json(gap.key, gap.reason, gap.detail) for gap in gaps],
    }


def _gap_json(row: str, reason: str, detail: str) -> dict[str, str]:
    return {"row": row, "reason": reason, "detail": detail}


def _damaged_json(one: Damaged) -> dict[str, Any]:
    return {
        "location": one.location,
        "datasource": one.datasource,
        "interval": f"{one.start}/{one.end}",
        "reason": one.reason,
    }


def _done_json(done: Repair, retried: Retried) -> dict[str, Any]:
    return {
        "objects_copied": done.copied,
        "bytes_copied": done.copied_bytes,
        "objects_unproved": done.unproved,
        "receipts_written": done.receipts_written,
        "rows_changed": done.rows,
        "unmended": [
            {**_damaged_json(one.damaged), "why_not": one.reason} for one in done.unmended
        ],
        "store_id_written": done.history is not None and done.history.store_id,
        "files_written": list(done.history.files) if done.history else [],
        "bases_written": list(done.history.bases) if done.history else [],
        "history_left": list(done.history.left) if done.history else [],
        "rows_left": [{"row": row.key.key, "detail": row.detail} for row in done.uncopied],
        "gaps_closed": [gap.key for gap in retried.copied],
        "gaps_left": [_gap_json(row.key.key, row.reason, row.detail) for row in retried.left],
    }


def _show_plan(
    console: Console, target: str, plan: Verification, gaps: Sequence[Gap], copied_from: str
) -> None:
    console.print(
        f"{target} at cut {plan.checkpoint.cut}: {counted(plan.objects, 'object')} looked at,"
        f" {_read(plan)}"
    )
    if plan.left:
        console.print(f"  not read: {counted(plan.left, 'object')}; --bytes-max was reached")
    if plan.is_good and not gaps:
        console.print("  ", good("nothing to repair"), sep="")
    _show_findings(console, plan)
    if gaps:
        console.print(f"  to try again from {copied_from}: {counted(len(gaps), 'row')} with a gap")
    for gap in gaps[:SHOWN_MAX]:
        console.print(f"  gap {gap.words}: {gap.reason}", markup=False)
    if len(gaps) > SHOWN_MAX:
        console.print(f"  and {len(gaps) - SHOWN_MAX} more gaps, see --json")
    _show_work(console, plan, copied_from)


def _show_work(console: Console, plan: Verification, copied_from: str) -> None:
    if plan.damaged:
        console.print(
            f"  to copy again from {copied_from}: {counted(plan.damaged_count, 'location')}"
        )
    if plan.history_is_damaged:
        console.print(
            "  what is lost of its history is written again from the log, as far as it goes"
        )
    if plan.rows_differ:
        console.print("  rows are made those of the cut again; a running applier pauses for it")


def _read(plan: Verification) -> str:
    if plan.level is Level.CHECKSUM:
        return f"{size_text(plan.read_bytes)} read"
    return "no bytes read; --level checksum finds those that are wrong"


def _show_findings(console: Console, plan: Verification) -> None:
    for finding in plan.findings[:SHOWN_MAX]:
        console.print(f"  BAD {finding}", markup=False)
    if plan.findings_count > SHOWN_MAX:
        console.print(f"  and {plan.findings_count - SHOWN_MAX} more")
    for one in plan.surplus[:SHOWN_MAX]:
        console.print(f"  row that goes: {one.kind.value} {one.key}", markup=False)
    if len(plan.surplus) > SHOWN_MAX:
        console.print(f"  and {len(plan.surplus) - SHOWN_MAX} more rows, see --json")


def _show_done(
    console: Console,
    target: str,
    plan: Verification,
    done: Repair,
    retried: Retried,
    unread_objects: int,
) -> None:
    closed = f", {counted(len(retried.copied), 'gap')} closed" if retried.copied else ""
    written = _written(done)
    console.print(
        "partly done" if _exit_code(plan, done, retried) else good("done"),
        f": {counted(done.copied, 'location')} copied again ({size_text(done.copied_bytes)}),"
        f" {counted(done.receipts_written, 'receipt')} written,"
        f" {counted(done.rows, 'row')} put right{written}{closed}",
        sep="",
    )
    for line in unread(target, unread_objects):
        console.print(f"  {line}", markup=False)
    _show_left(console, retried)
    _show_lost(console, done)
    if done.unproved:
        console.print(
            f"  {done.unproved} of them had no receipt: what the source has now was taken"
        )
    for one in done.unmended[:SHOWN_MAX]:
        console.print(f"  NOT REPAIRED {one.damaged.location}: {one.reason}", markup=False)
    if len(done.unmended) > SHOWN_MAX:
        console.print(f"  and {len(done.unmended) - SHOWN_MAX} more")
    for row in done.uncopied[:SHOWN_MAX]:
        console.print(f"  ROW LEFT {row.words}: {row.detail}", markup=False)
    if plan.damaged_count > len(plan.damaged):
        console.print("  there are more: run it again")
    if done.unmended or any(row.reason != ROW_UNFIT for row in retried.left):
        console.print(f"  another target may have them: `replicator repair {target} --from OTHER`")


def _written(done: Repair) -> str:
    """Say what of the target's own history was written again."""
    if (history := done.history) is None:
        return ""
    parts = [
        *(["its store's id"] if history.store_id else []),
        *([counted(len(history.files), "file") + " of history"] if history.files else []),
        *([counted(len(history.bases), "base")] if history.bases else []),
    ]
    return f", {enumerated(parts)} written" if parts else ""


def _show_lost(console: Console, done: Repair) -> None:
    """Print the files of the target's own history that are still damaged."""
    left = done.history.left if done.history else ()
    for one in left[:SHOWN_MAX]:
        console.print(f"  NOT REPAIRED {one}", markup=False)
    if len(left) > SHOWN_MAX:
        console.print(f"  and {len(left) - SHOWN_MAX} more, see --json")


def _show_left(console: Console, retried: Retried) -> None:
    for row in retried.left[:SHOWN_MAX]:
        console.print(f"  STILL A GAP {row.words}: {row.detail}", markup=False)
    if len(retried.left) > SHOWN_MAX:
        console.print(f"  and {len(retried.left) - SHOWN_MAX} more gaps, see --json")
