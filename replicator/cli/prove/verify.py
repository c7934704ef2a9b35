"""`verify`: proves that a target matches its checkpoint's cut."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from replicator.cli.command import OpenCall, Outcome
from replicator.cli.prove.verify_query import queries_json, show_queries
from replicator.cli.terminal.console import bad, good
from replicator.cli.terminal.typed import parse_interval
from replicator.cli.verb import FromStore, LogId, verb
from replicator.config import size
from replicator.errors import ConfigError
from replicator.model.extent import Extent
from replicator.model.fingerprint import hex_digest
from replicator.model.operations.words import counted, size_text
from replicator.model.store.proof import Coverage, Level
from replicator.model.store.testimony import Testimony
from replicator.services.verification.proofs import COVERED_WITHIN, keep_proof
from replicator.services.verification.query_verifier import QueryVerification
from replicator.services.verification.verifier import Verification

SHARE_MIN = 1e-6
FAILED = 9
HAS_GAPS = 11
OneDatasource = Annotated[
    str | None, typer.Option("--datasource", help="Only this one's rows and bytes.")
]
OneInterval = Annotated[
    str | None,
    typer.Option("--interval", help="Only bytes of segments that overlap it: START/END, in UTC."),
]


@verb("verify")
async def verify(
    call: OpenCall,
    target: Annotated[str, typer.Argument(help="The target's name in the configuration.")],
    level: Annotated[
        Level, typer.Option(help="Level; each includes the ones before, query only rows.")
    ] = Level.ROWS,
    subset: Annotated[
        str, typer.Option(help="Share of objects or intervals, like 5%, drawn at random.")
    ] = "100%",
    rolling: Annotated[
        bool, typer.Option(help="Take another share each day, so that all are read in turn.")
    ] = False,
    bytes_max: Annotated[str | None, typer.Option(help="Read at most this, like 100GiB.")] = None,
    from_: FromStore = None,
    log_id: LogId = None,
    structure: Annotated[
        bool, typer.Option(help="Read packed segments' structure: directory, version, columns.")
    ] = False,
    datasource: OneDatasource = None,
    interval: OneInterval = None,
) -> Outcome:
    """Compare a target's rows, objects and bytes with the log, or its answers with the source."""
    application = call.application
    extent = Extent(
        share=share_of(subset),
        window=application.clock.now().toordinal() if rolling else None,
        bytes_max=None if bytes_max is None else bytes_of(bytes_max),
        structure=structure,
        datasource=datasource,
        interval=None if interval is None else parse_interval(interval),
    )
    queries = application.query_verifier(target) if level is Level.QUERY else None
    store = None if from_ is None else await application.store(from_, log_id=log_id)
    if store is None:
        verifier = await application.verifier(target)
    else:
        verifier = await application.verifier_from(store, target)
    found = await verifier.verify(level, extent=extent)
    testimony = None if store is None else store.testimony
    if testimony is not None and testimony.is_fault:
        found.add(testimony.text)
    answers = None if queries is None else await queries.verify(extent=extent)
    covered = await keep_proof(
        application.target(target).area(),
        found,
        extent,
        disagreements=len(answers.disagreements) if answers else 0,
        now=application.clock.now(),
    )

    unlooked = not_looked_at(found, extent, testimony)

    def show(console: Console) -> None:
        _show(console, target, found, answers, unlooked)
        _show_coverage(console, covered, found.level)

    return Outcome(
        result=_json(found, unlooked)
        | {"queries": queries_json(answers), "coverage": _coverage_json(covered)},
        show=show,
        exit_code=_exit_code(found, answers),
    )


def share_of(text: str) -> float:
    """Return the share in a text like 5%.

    Raises:
        ConfigError: the text is not a share.
    """
    try:
        share = float(text.removesuffix("%")) / 100
    except ValueError:
        share = 0.0
    if not text.endswith("%") or not SHARE_MIN <= share <= 1:
        raise ConfigError(f"--subset {text}: write it like 5%, between 0.0001% and 100%")
    return share


def bytes_of(text: str) -> int:
    """Return the value of `--bytes-max`.

    Raises:
        ConfigError: the text is not a size.
    """
    try:
        return size(text)
    except ValueError as exc:
        raise ConfigError(f"--bytes-max {text}: {exc}") from None


def _coverage_json(covered: Coverage) -> dict[str, Any]:
    return {
        "share": round(covered.share, 4),
        "since": covered.since,
        "faults": list(covered.faults),
    }


def _show_coverage(console: Console, covered: Coverage, level: Level) -> None:
    if level is Level.CHECKSUM:
        days = counted(COVERED_WITHIN.days, "day")
        when = "since damage was found" if covered.is_cut_short else f"in the last {days}"
        console.print(f"  {covered.share:.0%} of the bytes were read and found good {when}")
    for fault in covered.faults:
        console.print(f"  DAMAGED {fault}", markup=False)


def _exit_code(found: Verification, answers: QueryVerification | None) -> int:
    if not found.is_good or not (answers is None or answers.is_good):
        return FAILED
    return HAS_GAPS if found.gaps else 0


def _json(found: Verification, unlooked: Sequence[str]) -> dict[str, Any]:
    return {
        "level": found.level.value,
        "cut": found.checkpoint.cut,
        "paused": found.checkpoint.paused,
        "offset": found.checkpoint.offset,
        "digest": hex_digest(found.checkpoint.digest),
        "rows": found.rows,
        "objects": found.objects,
        "bytes": found.size_bytes,
        "bytes_read": found.read_bytes,
        "objects_left": found.left,
        "good": found.is_good,
        "not_looked_at": unlooked,
        "findings_count": found.findings_count,
        "findings": found.findings,
        "gaps": [{"row": gap.key, "reason": gap.reason} for gap in found.gaps],
    }


def not_looked_at(
    found: Verification, extent: Extent, testimony: Testimony | None = None
) -> list[str]:
    """Return what a good result does not prove; `testimony` is of a store's witness."""
    lines = []
    if testimony is not None and not testimony.proves and not testimony.is_fault:
        lines.append(f"whether cuts are missing at the end of the store: {testimony.text}")
    only = found.checkpoint.datasource
    if only is not None:
        lines.append(f"every datasource but {only}: it alone was restored to this cut")
    elif extent.datasource is not None:
        lines.append(f"every datasource but {extent.datasource}, for --datasource")
    if extent.interval is not None:
        lines.append("segments outside --interval")
    if found.level is Level.EXISTS:
        lines.append("the bytes of objects: only whether they are there; use --level checksum")
    elif not found.level.is_about_objects:
        lines.append("objects and bytes, only rows; use --level exists or checksum")
    elif extent.share < 1:
        lines.append(f"all but {extent.share:.2%} of the objects, drawn by chance (--subset)")
    return lines


def _show(
    console: Console,
    target: str,
    found: Verification,
    answers: QueryVerification | None,
    unlooked: Sequence[str],
) -> None:
    checkpoint = found.checkpoint
    console.print(
        f"{target} at cut {checkpoint.cut} (offset {checkpoint.offset}), level {found.level.value}"
    )
    console.print(
        f"  {counted(found.rows, 'row')} compared, the log's digest is"
        f" {hex_digest(checkpoint.digest)}"
    )
    if found.level.is_about_objects:
        read = "read and checksummed" if found.level is Level.CHECKSUM else "seen, not read"
        console.print(f"  {counted(found.objects, 'object')}, {size_text(found.size_bytes)} {read}")
    if found.left:
        console.print(f"  not read: {counted(found.left, 'object')}; --bytes-max was reached")
    for finding in found.findings:
        console.print(f"  BAD {finding}", markup=False)
    for gap in found.gaps:
        console.print(f"  GAP {gap.words}: {gap.reason}, {gap.detail}", markup=False)
    if answers is not None:
        show_queries(console, answers, paused=checkpoint.paused)
    for line in unlooked:
        console.print(f"  not looked at: {line}", markup=False)
    differences = found.findings_count + (len(answers.disagreements) if answers else 0)
    verdict = bad(f"{differences} differences") if differences else good("good")
    gaps = f", {len(found.gaps)} known gaps" if found.gaps else ""
    console.print("  ", verdict, gaps, sep="")
