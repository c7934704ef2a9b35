"""`points`: what can be restored, and the gaps in it."""

from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from replicator.app import Application
from replicator.cli.frame import DEFAULT_CONFIG, AsJson, Call, ConfigPath, Outcome, Overrides, run
from replicator.cli.screen import Screen
from replicator.model.checkpoint import Gap
from replicator.model.event import ClosedCut, Offset


@dataclass(frozen=True, slots=True, kw_only=True)
class _Window:
    """What one target can be restored to."""

    target: str
    until: Offset | None
    gaps: tuple[Gap, ...]


def points(
    config: ConfigPath = DEFAULT_CONFIG,
    set_: Overrides = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many cuts.")] = 20,
    all_: Annotated[bool, typer.Option("--all", help="Also the cuts without a change.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the cuts that a target can be brought to, and the gaps in them."""

    async def body(application: Application, _: Screen) -> Outcome:
        span = await application.history.span()
        cuts = await application.history.cuts(span.first, span.end)
        windows = [await _window(application, name) for name in application.target_names]
        shown = [cut for cut in cuts if all_ or cut.closed.count][-limit:]
        return Outcome(
            result={
                "cuts": len(cuts),
                "first": _cut_json(cuts[0], windows) if cuts else None,
                "last": _cut_json(cuts[-1], windows) if cuts else None,
                "points": [_cut_json(cut, windows) for cut in shown],
                "targets": [_window_json(window) for window in windows],
            },
            show=lambda console: _show(console, cuts, shown, windows),
        )

    call = Call(command="points", config_path=config, overrides=tuple(set_ or ()), as_json=as_json)
    run(call, body)


async def _window(application: Application, name: str) -> _Window:
    metadata, source = application.target(name).metadata, application.settings.source.name
    checkpoint = (await metadata.held(source)).checkpoint
    return _Window(
        target=name,
        until=checkpoint.offset if checkpoint else None,
        gaps=tuple(await metadata.gaps(source)),
    )


def _cut_json(cut: ClosedCut, windows: list[_Window]) -> dict[str, Any]:
    return {
        "cut": cut.closed.cut,
        "offset": cut.offset,
        "source_time": cut.closed.source_time,
        "events": cut.closed.count,
        "gaps": {w.target: sum(gap.at(cut.offset) for gap in w.gaps) for w in windows},
    }


def _window_json(window: _Window) -> dict[str, Any]:
    return {
        "target": window.target,
        "checkpoint_offset": window.until,
        "gaps": [
            {
                "row": gap.key,
                "datasource": gap.datasource,
                "reason": gap.reason,
                "detail": gap.detail,
                "from_offset": gap.opened,
                "to_offset": gap.closed,
            }
            for gap in window.gaps
        ],
    }


def _show(
    console: Console, cuts: list[ClosedCut], shown: list[ClosedCut], windows: list[_Window]
) -> None:
    if not cuts:
        console.print("no cut yet")
        return
    first, last = (cut.closed.source_time.isoformat() for cut in (cuts[0], cuts[-1]))
    console.print(f"{len(cuts)} cuts, from {first} (offset {cuts[0].offset})")
    console.print(f"{'':>{len(str(len(cuts)))}}        to {last} (offset {cuts[-1].offset})")
    table = Table("cut", "offset", "source time", "events", *(f"gaps {w.target}" for w in windows))
    for cut in shown:
        gaps = [str(sum(gap.at(cut.offset) for gap in w.gaps)) for w in windows]
        time = cut.closed.source_time.isoformat(timespec="milliseconds")
        table.add_row(str(cut.closed.cut), str(cut.offset), time, str(cut.closed.count), *gaps)
    console.print(table)
    for window in windows:
        for gap in window.gaps:
            until = f"to {gap.closed}" if gap.closed is not None else "still open"
            console.print(
                f"gap {window.target}: {gap.key} from offset {gap.opened} {until},"
                f" {gap.reason}: {gap.detail}",
                markup=False,
            )
