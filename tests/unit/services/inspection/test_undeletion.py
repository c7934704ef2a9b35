"""A dropped datasource: which cut had it last, and what its source's operator must ask for."""

from dataclasses import replace
from typing import Any

import pytest

from replicator.errors import NotFoundError, RefusedError
from replicator.model.druid.interval import interval
from replicator.model.event import Offset
from replicator.model.log.undeletion import SEGMENTS_PER_CALL_MAX, SegmentState, Timeline, calls
from replicator.model.plans.restore_point import BeforeEvent, RestorePoint, ToOffset
from replicator.model.row import Segment, key_of
from replicator.services.inspection.undeletion import Drop, Undeletion
from tests.builders import json_bytes, rules, segment, segment_payload
from tests.unit.pipeline import Pipeline

NEWER = "2024-05-02T00:00:00.000Z"
THREE = tuple(segment("orders", partition=number) for number in range(3))


def undeletion(pipeline: Pipeline) -> Undeletion:
    return Undeletion(history=pipeline.history(), observer=pipeline.seen.append)


def newer(partition: int = 0, **columns: Any) -> Segment:
    """The same interval in a newer version."""
    old = segment("orders", partition=partition)
    id_ = old.id.replace(old.version, NEWER)
    payload = segment_payload(datasource="orders", version=NEWER, identifier=id_)
    row = replace(old, id=id_, version=NEWER, payload=json_bytes(payload))
    return replace(row, **columns) if columns else row


async def mark(pipeline: Pipeline, *rows: Segment, used: bool = False) -> None:
    for row in rows:
        pipeline.source.rows[key_of(row)] = replace(row, used=used)
    await pipeline.cut()


async def published(*rows: Segment) -> Pipeline:
    """Cut 1: some segments of two datasources."""
    pipeline = Pipeline()
    pipeline.publish(*(rows or THREE), segment("orders_more"))
    await pipeline.cut()
    return pipeline


def cuts(drop: Drop) -> tuple[tuple[int, int], tuple[int, int]]:
    return (
        (drop.last.cut.closed.cut, drop.last.used),
        (drop.before.cut.closed.cut, drop.before.used),
    )


async def test_the_last_cut_with_used_segments_is_found():
    pipeline = await published()
    pipeline.publish(segment("wiki"))
    await pipeline.cut()
    await mark(pipeline, *THREE)
    pipeline.kill(*THREE)
    await pipeline.cut()
    assert cuts(await undeletion(pipeline).dropped("orders")) == ((2, 3), (2, 3))


async def test_one_that_went_little_by_little_names_the_cut_before_it_began():
    pipeline = await published()
    await mark(pipeline, THREE[0])
    pipeline.publish(segment("wiki"))
    await pipeline.cut()
    pipeline.kill(THREE[1])
    await pipeline.cut()
    await mark(pipeline, THREE[2])
    assert cuts(await undeletion(pipeline).dropped("orders")) == ((4, 1), (1, 3))


async def test_an_overwrite_is_no_beginning_of_the_end():
    pipeline = await published()
    pipeline.publish(newer())
    await mark(pipeline, *THREE)
    await mark(pipeline, newer())
    assert cuts(await undeletion(pipeline).dropped("orders")) == ((2, 1), (2, 1))


async def test_what_is_used_is_not_dropped_and_what_never_was_is_not_found():
    pipeline = await published()
    with pytest.raises(RefusedError, match="3 of its segments are used"):
        await undeletion(pipeline).dropped("orders")
    with pytest.raises(NotFoundError, match="nobody"):
        await undeletion(pipeline).dropped("nobody")
    with pytest.raises(NotFoundError):
        await undeletion(pipeline).dropped("order")


async def test_unused_rows_are_to_be_marked_used_and_killed_ones_are_named():
    pipeline = await published()
    await mark(pipeline, *THREE)
    pipeline.kill(THREE[1])
    await pipeline.cut()
    point = ToOffset(offset=(await undeletion(pipeline).dropped("orders")).last.cut.offset)
    plan = await undeletion(pipeline).on_source("orders", point)
    assert plan.mark_used == [THREE[0].id, THREE[2].id]
    assert (plan.mark_unused, plan.killed, plan.killed_count) == ([], [THREE[1].id], 1)
    assert (plan.wanted, plan.used) == (3, 0)
    assert [call.path for call in plan.calls] == ["/druid/indexer/v1/datasources/orders/markUsed"]


async def test_unused_at_that_cut_stays_unused():
    """Only what was used in the cut comes back, not what had been dropped before."""
    pipeline = await published()
    await mark(pipeline, THREE[0])
    await mark(pipeline, *THREE[1:])
    plan = await undeletion(pipeline).on_source("orders", await before_last(pipeline))
    assert plan.mark_used == [THREE[1].id, THREE[2].id]


async def test_newer_versions_that_would_hide_them_go_first_and_no_others():
    pipeline = await published()
    elsewhere = newer(
        id=newer().id.replace("2024-01-0", "2024-02-0"),
        start="2024-02-01T00:00:00.000Z",
        end="2024-02-02T00:00:00.000Z",
    )
    pipeline.publish(newer(), elsewhere)
    await mark(pipeline, *THREE)
    plan = await undeletion(pipeline).on_source("orders", await before_last(pipeline))
    assert (plan.mark_unused, len(plan.mark_used)) == ([newer().id], 3)
    assert [call.path.rpartition("/")[2] for call in plan.calls] == ["markUnused", "markUsed"]


async def test_an_overwrite_goes_also_while_the_rows_that_it_hides_are_still_used():
    """Druid leaves them used for a quarter of an hour, which is when people run this."""
    pipeline = await published()
    pipeline.publish(newer())
    await pipeline.cut()
    plan = await undeletion(pipeline).on_source("orders", ToOffset(offset=THREE_CLOSED))
    assert (plan.used, plan.mark_used, plan.mark_unused) == (3, [], [newer().id])
    assert [call.path.rpartition("/")[2] for call in plan.calls] == ["markUnused"]


def overwrite(start: int, end: int, *, minor: int = 1, partition: int = 32768) -> Segment:
    """A compaction under segment locks, as Druid 33 writes it: the same version."""
    old = segment("orders", partition=partition)
    spec = {
        "type": "numbered_overwrite",
        "partitionId": partition,
        "startRootPartitionId": start,
        "endRootPartitionId": end,
        "minorVersion": minor,
        "atomicUpdateGroupSize": 1,
    }
    payload = segment_payload(datasource="orders", partition=partition, shardSpec=spec)
    return replace(old, payload=json_bytes(payload))


@pytest.mark.parametrize("used", [True, False], ids=["still used", "marked unused"])
async def test_an_overwrite_of_the_same_version_goes_too(*, used: bool):
    """Druid's markUsed answers that it changed 0 segments while it is there."""
    pipeline = await published()
    pipeline.publish(overwrite(0, 2), overwrite(7, 9, partition=32769))
    await pipeline.cut()
    if not used:
        await mark(pipeline, *THREE)
    plan = await undeletion(pipeline).on_source("orders", ToOffset(offset=THREE_CLOSED))
    assert plan.mark_unused == [overwrite(0, 2).id]
    assert len(plan.mark_used) == (0 if used else 3)


async def test_an_overwrite_that_was_there_in_the_cut_is_hidden_by_a_later_one_alone():
    """Minor versions count: what an overwrite stands over does not hide it."""
    first, second = overwrite(0, 3), overwrite(0, 3, minor=2, partition=32770)
    pipeline = await published(*THREE, first)
    pipeline.publish(second)
    await pipeline.cut()
    point = ToOffset(offset=Offset(THREE_CLOSED + 1))
    plan = await undeletion(pipeline).on_source("orders", point)
    assert (plan.wanted, plan.mark_unused) == (4, [second.id])


async def test_nothing_is_asked_for_where_everything_is_as_it_was():
    pipeline = await published()
    await mark(pipeline, *THREE)
    await mark(pipeline, *THREE, used=True)
    plan = await undeletion(pipeline).on_source("orders", ToOffset(offset=THREE_CLOSED))
    assert (plan.calls, plan.used, plan.killed_count) == ([], 3, 0)


async def test_rules_that_would_drop_it_again_are_named():
    pipeline = await published()
    pipeline.publish(rules("orders", payload=b'[{"type":"dropForever"}]'), rules("_default"))
    await mark(pipeline, *THREE)
    plan = await undeletion(pipeline).on_source("orders", await before_last(pipeline))
    assert plan.drop_rules == ["orders: dropForever"]


async def test_a_cut_without_it_is_refused():
    pipeline = await published()
    with pytest.raises(NotFoundError, match="cut 1"):
        await undeletion(pipeline).on_source("nobody", ToOffset(offset=THREE_CLOSED))


THREE_CLOSED = Offset(4)
"""Where the cut of `published` is closed: behind three segments and one of another datasource."""


async def before_last(pipeline: Pipeline) -> RestorePoint:
    """The cut before the last event."""
    span = await pipeline.history().span()
    return BeforeEvent(offset=Offset(span.end - 2))


def state(start: str, end: str, version: str) -> SegmentState:
    return SegmentState(f"{start}/{version}", interval(start, end), version, used=True)


def test_what_hides_others_overlaps_and_is_newer():
    timeline = Timeline(
        [
            state("2024-01-01", "2024-02-01", "v2"),
            state("2024-01-10", "2024-01-11", "v5"),
            state("2024-03-01", "2024-03-02", "v1"),
        ]
    )
    hides = {
        ("2024-01-31", "2024-02-02", "v3"): True,
        ("2024-01-10", "2024-01-11", "v3"): True,
        ("2024-01-10", "2024-01-11", "v2"): False,
        ("2024-02-01", "2024-03-01", "v9"): False,
        ("2024-03-01", "2024-03-02", "v1"): False,
        ("2023-01-01", "2025-01-01", "v2"): True,
        ("2024-04-01", "2024-05-01", "v9"): False,
    }
    assert {key: timeline.is_hidden_by(state(*key)) for key in hides} == hides


def test_calls_come_in_pages_with_the_name_quoted():
    ids = [str(number) for number in range(SEGMENTS_PER_CALL_MAX + 1)]
    found = calls("a/b c", unused=["x"], used=ids)
    assert [(call.path, len(call.segment_ids)) for call in found] == [
        ("/druid/indexer/v1/datasources/a%2Fb%20c/markUnused", 1),
        ("/druid/indexer/v1/datasources/a%2Fb%20c/markUsed", SEGMENTS_PER_CALL_MAX),
        ("/druid/indexer/v1/datasources/a%2Fb%20c/markUsed", 1),
    ]
