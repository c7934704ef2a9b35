"""`diff`: shows the rows that changed at the source between two points of the log."""

from typing import Annotated, Any, Final

import typer
from rich.console import Console

from replicator.cli.command import Changes, OpenCall, Outcome
from replicator.cli.terminal.typed import LIST_MAX, parse_offset, parse_time
from replicator.cli.verb import verb
from replicator.model.event import Offset
from replicator.model.operations.words import counted
from replicator.model.plans.restore_point import Latest, RestorePoint, ToOffset, ToTime
from replicator.services.inspection.difference import RowChange, RowDifference, difference

SIGNS: Final = {"added": "+", "changed": "~", "removed": "-"}
POINT_HELP = "An offset, a time with its zone, or `latest`."


@verb("diff", changes=Changes.NEVER)
async def diff(
    call: OpenCall,
    before: Annotated[str, typer.Argument(help=POINT_HELP)],
    after: Annotated[str, typer.Argument(help=POINT_HELP)],
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=LIST_MAX, help="Show at most N rows.")
    ] = 1000,
) -> Outcome:
    """Show which rows differ between two cuts."""
    history = call.application.history
    first, second = await history.find(_point(before)), await history.find(_point(after))
    found: list[dict[str, Any]] = []
    count = 0
    async for one in difference(history, first, second):
        count += 1
        if len(found) < limit:
            found.append(_json(one))
    return Outcome(
        result={
            "from_offset": first.offset,
            "to_offset": second.offset,
            "count": count,
            "rows": found,
        },
        show=lambda console: _show(console, (first.offset, second.offset), count, found),
    )


def _point(text: str) -> RestorePoint:
    if text == "latest":
        return Latest()
    if text.isdigit():
        return ToOffset(offset=parse_offset(text))
    return ToTime(time=parse_time(text))


def _json(one: RowChange) -> dict[str, Any]:
    found: dict[str, Any] = {
        "kind": one.key.kind.value,
        "key": one.key.key,
        "change": one.change.value,
        "gone": one.change is RowDifference.REMOVED,
    }
    if one.row is not None and hasattr(one.row, "used"):
        found["used"] = one.row.used
    return found


def _show(
    console: Console, cuts: tuple[Offset, Offset], count: int, found: list[dict[str, Any]]
) -> None:
    console.print(
        f"from the cut at offset {cuts[0]} to the cut at offset {cuts[1]}: {counted(count, 'row')}"
        " (+ added, ~ changed, - removed)"
    )
    for row in found:
        used = {True: ", used", False: ", unused", None: ""}[row.get("used")]
        console.print(f"  {SIGNS[row['change']]} {row['kind']} {row['key']}{used}", markup=False)
    if count > len(found):
        console.print(f"  and {count - len(found)} more (--limit)")
