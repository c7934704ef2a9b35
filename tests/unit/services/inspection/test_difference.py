"""What differs between two cuts: what came, what went, and what is another now."""

from dataclasses import replace

from replicator.cli.look.diff import _json, _show
from replicator.cli.terminal.console import Paper
from replicator.model.event import Offset
from replicator.model.row import key_of
from replicator.services.inspection.difference import difference
from tests.builders import segment
from tests.unit.pipeline import Pipeline


async def test_a_changed_row_is_neither_added_nor_removed():
    pipeline = Pipeline()
    kept, changed, gone, added = (segment(name) for name in ("kept", "changed", "gone", "added"))
    pipeline.publish(kept, changed, gone)
    await pipeline.cut()
    pipeline.source.rows[key_of(changed)] = replace(changed, used=False)
    pipeline.kill(gone)
    pipeline.publish(added)
    await pipeline.cut()
    history = pipeline.history()
    first, second = await history.cuts(Offset(0), (await history.span()).end)
    found = [_json(one) async for one in difference(history, first, second)]
    assert sorted((one["key"], one["change"], one["gone"], one.get("used")) for one in found) == [
        (added.id, "added", False, True),
        (changed.id, "changed", False, False),
        (gone.id, "removed", True, None),
    ]
    paper = Paper()
    with paper.capture() as shown:
        _show(paper, (first.offset, second.offset), len(found), found)
    assert {line[2] for line in shown.get().splitlines()[1:]} == {"+", "~", "-"}
    assert f"~ segment {changed.id}, unused" in shown.get()
