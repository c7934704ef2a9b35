"""What `points` and `hold list` print, of their own look or of what a service has seen."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from rich.console import Console

from replicator.cli.command import Outcome
from replicator.cli.each_target import exit_code, show_not_seen
from replicator.cli.terminal.paragraphs import Paragraph, listing, paragraphs
from replicator.cli.terminal.printed_commands import ANY_TARGET
from replicator.model.operations.words import counted, moment, whole_time
from replicator.model.row import Kind, RowKey
from replicator.model.store.testimony import Attested
from replicator.services.inspection.points_report import (
    HoldsReport,
    KnownGap,
    ListedCut,
    ListedHold,
    PointsReport,
    TargetPoints,
    WindowSpan,
)

GAPS_SHOWN_MAX = 20
"""Gaps that are shown of a target, about three lines each."""


def points_outcome(report: PointsReport, *, store: str | None = None) -> Outcome:
    """Return what `points` prints; `store` names the target whose store alone was read."""
    whose = ANY_TARGET if store is None else f"--from {shlex.quote(store)} --into {ANY_TARGET}"
    restore = f"replicator restore {whose} --to-offset OFFSET"
    return Outcome(
        result=asdict(report),
        show=lambda console: _show_points(console, report, restore),
        exit_code=exit_code(report.failures),
    )


def holds_outcome(report: HoldsReport) -> Outcome:
    """Return what `hold list` prints."""
    return Outcome(
        result=asdict(report),
        show=lambda console: _show_holds(console, report),
        exit_code=exit_code(report.failures),
    )


def _cut_lines(cut: ListedCut) -> Iterator[str]:
    """Yield a cut's line, whole, so that its time can be typed again, and what happened in it."""
    yield f"{whole_time(cut.source_time)}  cut {cut.cut}  offset {cut.offset}"
    yield cut.what or ("no change" if not cut.events else counted(cut.events, "event"))
    if any(cut.gaps.values()):
        yield f"gaps: {', '.join(f'{name} {count}' for name, count in cut.gaps.items() if count)}"


def _show_points(console: Console, report: PointsReport, restore: str) -> None:
    _show_cuts(console, report, restore)
    for target in report.targets:
        _show_target(console, target)
    show_not_seen(console, report.failures)


def _show_cuts(console: Console, report: PointsReport, restore: str) -> None:
    if report.first is None or report.last is None:
        console.print("no cut yet")
        return
    first, last = report.first, report.last
    words = counted(report.cuts, "cut")
    console.print(f"{words}, from {whole_time(first.source_time)} (offset {first.offset})")
    indent = len(str(report.cuts))
    console.print(f"{'':>{indent}}        to {whole_time(last.source_time)} (offset {last.offset})")
    for cut in report.points:
        lines = list(_cut_lines(cut))
        console.print(lines[0], markup=False)
        for line in paragraphs([Paragraph("", lines[1:])], console.width):
            console.print(f"  {line}", markup=False)
    if (more := report.cuts - len(report.points)) > 0:
        console.print(f"and {counted(more, 'cut')} without a change (--all) or older (--limit)")
    console.print(f"to bring one back: `{restore}`")


def _show_target(console: Console, points: TargetPoints) -> None:
    _show_windows(console, points)
    for log_id in points.other_logs:
        command = f"replicator points --from {points.target} --log {shlex.quote(log_id)}"
        console.print(f"{points.target} keeps another log, too: `{command}`", markup=False)
    for fault in points.faults:
        console.print(f"DAMAGED {points.target}: {fault}", markup=False, style="red")
    if (testimony := points.witness) is not None and testimony.detail not in points.faults:
        word = "witness" if testimony.verdict == Attested.NEWEST else "NOT PROVED"
        console.print(f"{word} {points.target}: {testimony.detail}", markup=False)
    _show_named(console, points)
    gaps = [gap for gap in points.gaps if gap.to_offset != gap.from_offset]  # others are healed
    for gap in gaps[:GAPS_SHOWN_MAX]:
        until = f"to {gap.to_offset}" if gap.to_offset is not None else "still open"
        console.print(
            f"gap {points.target}: {_gap_row(gap)} from offset {gap.from_offset} {until},"
            f" {gap.reason}: {gap.detail}",
            markup=False,
        )
    if len(gaps) > GAPS_SHOWN_MAX:
        console.print(f"and {len(gaps) - GAPS_SHOWN_MAX} more gaps, see --json")


def _gap_row(gap: KnownGap) -> str:
    """Return what the row is; a service of a later release may know further kinds."""
    kind = next((one for one in Kind if one.value == gap.kind), None)
    return f"{gap.kind} {gap.row}" if kind is None else RowKey(kind, gap.row).words(gap.datasource)


def _is_within(gap: KnownGap, window: WindowSpan) -> bool:
    """Return whether a cut of the window lacks the gap's row."""
    until = gap.to_offset
    if gap.from_offset > window.last.offset or until == gap.from_offset:
        return False
    return until is None or until > window.first.offset


def _show_windows(console: Console, points: TargetPoints) -> None:
    """Say what the target's store can restore when everything else is gone."""
    if points.log_id is None:
        console.print(f"{points.target} keeps no history of its own yet", markup=False)
        return
    for one in points.windows:
        first, last = (whole_time(cut.source_time) for cut in (one.first, one.last))
        lacking = sum(_is_within(gap, one) for gap in points.gaps)
        apart = f", but for {counted(lacking, 'row')} with a gap:" if lacking else ""
        console.print(f"{points.target} alone restores every cut{apart}", markup=False)
        console.print(f"  from {first} (offset {one.first.offset})")
        console.print(f"    to {last} (offset {one.last.offset})")


def _show_named(console: Console, points: TargetPoints) -> None:
    for hold in points.held:
        console.print(
            f"{points.target} holds {hold.name}: offset {hold.offset},"
            f" {whole_time(hold.source_time)}, {hold.reason}",
            markup=False,
        )
    for point in points.named:
        state = ", has expired" if point.expired else ""
        console.print(
            f"{points.target} knows {point.name}: offset {point.offset},"
            f" {whole_time(point.source_time)}{state}",
            markup=False,
        )


def _show_holds(console: Console, report: HoldsReport) -> None:
    for fault in report.faults:
        console.print(f"DAMAGED {fault}", markup=False)
    show_not_seen(console, report.failures)
    if not report.holds:
        console.print("nothing is held" if not report.failures else "nothing else is held")
        return
    heads = ("name", "target", "offset", "source time", "until", "reason")
    for line in listing(heads, [_hold_cells(one) for one in report.holds], console.width):
        console.print(line, markup=False)


def _hold_cells(hold: ListedHold) -> Sequence[str]:
    until = "no end" if hold.until is None else moment(hold.until)
    return (
        hold.name,
        hold.target,
        str(hold.offset),
        whole_time(hold.source_time),
        until if hold.in_force else f"{until}, ended",
        hold.reason,
    )
