"""`check` names what a source has and a target has no table for."""

from collections.abc import Sequence
from typing import Any

import pytest
from numpy.typing import NDArray

from replicator.adapters.memory.metadata import ALL_COLUMNS, MemorySnapshot
from replicator.errors import LargeRowsError
from replicator.model.row import Kind, Row
from replicator.services.checkup.finding import Finding
from replicator.services.checkup.left_out import NAMED_MAX, left_out, optional_rows
from tests.builders import segment, segment_schema, table_definition
from tests.unit.pipeline import Pipeline


async def found(*rows: Row, lacks: set[Kind]) -> list[Finding]:
    pipeline = Pipeline()
    pipeline.publish(segment(), *rows)
    return [*left_out("x", await optional_rows(pipeline.source), ALL_COLUMNS.keys() - lacks)]


@pytest.mark.parametrize("count", [1, NAMED_MAX + 1])
async def test_definitions_that_a_target_has_no_table_for_are_named(count: int):
    rows = [table_definition(f"wiki{n}") for n in range(count)]
    (finding,) = await found(*rows, lacks={Kind.TABLE_DEFINITION})
    assert (finding.good, finding.note) == (True, True)
    assert "no table tabledefs" in finding.detail
    assert f"{count} rows" in finding.detail
    assert "druid.wiki0" in finding.detail
    assert ("…" in finding.detail) is (count > NAMED_MAX)
    assert "repair" in finding.hint


async def test_definitions_that_are_too_large_together_are_named_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
):
    fetch = MemorySnapshot.fetch

    async def fetched(snapshot: MemorySnapshot, kind: Kind, handles: NDArray[Any]) -> Sequence[Row]:
        if len(handles) > 1:
            raise LargeRowsError("they are too many")
        return await fetch(snapshot, kind, handles)

    monkeypatch.setattr(MemorySnapshot, "fetch", fetched)
    (finding,) = await found(
        *(table_definition(f"wiki{n}") for n in range(3)), lacks={Kind.TABLE_DEFINITION}
    )
    assert "(druid.wiki0, druid.wiki1, druid.wiki2)" in finding.detail


async def test_schemas_are_counted_and_not_named():
    """Nobody but Druid knows them by their fingerprints."""
    (finding,) = await found(segment_schema(), lacks={Kind.SEGMENT_SCHEMA})
    assert "1 rows of that table are left out" in finding.detail


async def test_what_a_source_does_not_have_is_missed_by_no_target():
    assert await found(lacks={Kind.TABLE_DEFINITION, Kind.INDEXING_STATE}) == []
    assert await found(segment_schema(), table_definition(), lacks=set()) == []
