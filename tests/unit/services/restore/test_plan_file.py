"""A plan says what a restore takes; carried out, it must meet the world that it was made for."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.errors import ConfigError, TransientError
from replicator.model.checkpoint import Checkpoint
from replicator.model.event import CutNumber, Offset
from replicator.model.fingerprint import EMPTY_DIGEST, Digest
from replicator.model.plans.cost import GIB, MIB, CopyRoute, Prices, Requests
from replicator.model.plans.plan_file import (
    PlanFile,
    PlanOptions,
    World,
    checkpoint_text,
    plan_document,
    plan_of,
)
from replicator.model.plans.restore_point import ToOffset
from replicator.model.store.rates import Rates
from replicator.services.restore.estimator import CostEstimate
from replicator.services.target.rates import NAME, RateBook
from tests.builders import segment
from tests.unit.pipeline import Pipeline, place_of

OPTIONS = PlanOptions(
    target="standby",
    into="standby",
    from_store=False,
    log_id=None,
    by_reference=False,
    without_witness=False,
    datasource=None,
    adopt=False,
    accept_gaps=True,
)
WORLD = World(
    log_id="log",
    cut_offset=Offset(3),
    cut_digest="aa",
    checkpoint="log 9 bb following all",
    rows="cc",
    storages={"source": "dd"},
)
S3 = CopyRoute(source="s3", target="s3", same_service=True, part_bytes=8 * MIB)
STREAMED = CopyRoute(source="local", target="s3", same_service=False, part_bytes=8 * MIB)


def test_a_plan_is_read_as_it_was_written():
    plan = PlanFile(options=OPTIONS, world=WORLD)
    document = plan_document(plan, {"segments": 3})
    assert document["schema"] == "replicator.plan.v1"
    assert plan_of(json.dumps(document).encode(), "plan.json") == plan


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b'{"schema":"replicator.plan.v2"}', b'{"schema":"replicator.plan.v1"}'],
)
def test_what_is_no_plan_is_refused(data: bytes):
    with pytest.raises(ConfigError, match=r"worse\.json"):
        plan_of(data, "worse.json")


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("asked", {"target": None}, "field 'target'"),
        ("asked", {"target": ["a"]}, "field 'target'"),
        ("asked", {"adopt": "yes"}, "field 'adopt'"),
        ("asked", {"more": 1}, "field 'more' is unknown"),
        ("world", {"cut_offset": "7"}, "field 'cut_offset'"),
        ("world", {"storages": []}, "field 'storages'"),
    ],
)
def test_the_member_of_a_plan_that_is_wrong_is_named(part: str, change: dict[str, Any], said: str):
    document = plan_document(PlanFile(options=OPTIONS, world=WORLD), {})
    document[part] |= change
    with pytest.raises(ConfigError) as refused:
        plan_of(json.dumps(document).encode(), "worse.json")
    assert said in str(refused.value)
    assert "worse.json" in str(refused.value)


@pytest.mark.parametrize(("part", "member"), [("asked", ""), ("world", ""), ("asked", "into")])
def test_the_member_of_a_plan_that_is_missing_is_named(part: str, member: str):
    document = plan_document(PlanFile(options=OPTIONS, world=WORLD), {})
    if member:
        del document[part][member]
    else:
        del document[part]
    with pytest.raises(ConfigError, match=f"`{part}`.* is missing"):
        plan_of(json.dumps(document).encode(), "worse.json")


@pytest.mark.parametrize(
    "edit",
    [
        {"segments": 4},
        {"asked": {"adopt": True}},
        {"asked": {"accept_gaps": False}},
        {"asked": {"by_reference": True}},
        {"world": {"rows": "dd"}},
        {"more": 1},
        {"digest": None},
    ],
)
def test_an_edited_plan_is_refused(edit: dict[str, Any]):
    """What is carried out is what was shown to whoever agreed to it."""
    document = json.loads(
        orjson.dumps(plan_document(PlanFile(options=OPTIONS, world=WORLD), {"segments": 3}))
    )
    for name, change in edit.items():
        document[name] = document[name] | change if isinstance(change, dict) else change
    with pytest.raises(ConfigError, match=r"worse\.json is no plan .* edited"):
        plan_of(json.dumps(document).encode(), "worse.json")


def test_a_plan_may_be_laid_out_otherwise():
    document = plan_document(PlanFile(options=OPTIONS, world=WORLD), {"segments": 3, "share": 0.1})
    data = json.dumps(document, indent=7, sort_keys=True).encode()
    assert plan_of(data, "plan.json").options == OPTIONS


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"log_id": "other"}, "the log is another one"),
        ({"cut_offset": Offset(4)}, "another offset"),
        ({"cut_digest": "x"}, "holds other rows"),
        ({"checkpoint": None}, "at another cut"),
        ({"rows": "x"}, "rows were changed"),
        ({"storages": {}}, "configuration of the storages"),
    ],
)
def test_a_world_that_changed_is_told_in_words(change: dict[str, Any], words: str):
    assert WORLD.changes(WORLD) == []
    (told,) = WORLD.changes(replace(WORLD, **change))
    assert words in told


def test_an_idle_cut_makes_no_plan_out_of_date():
    """A target that follows an idle source is at another offset with each cut."""
    planned = Checkpoint(
        source="prod",
        log_id="log",
        offset=Offset(4),
        cut=CutNumber(1),
        source_time=datetime(2026, 11, 30, tzinfo=UTC),
        digest=EMPTY_DIGEST,
        paused=False,
    )
    idle = replace(planned, offset=Offset(9), cut=CutNumber(6))
    assert checkpoint_text(idle) == checkpoint_text(planned)
    others = (
        replace(planned, paused=True),
        replace(planned, log_id="other"),
        replace(planned, datasource="orders"),
        replace(planned, digest=Digest(1)),
    )
    assert checkpoint_text(planned) not in {checkpoint_text(other) for other in others}


def test_requests_are_those_of_the_adapters():
    """docs/storages.md, Requests of one object."""
    assert S3.copy(30_000) == Requests(get=2, put=1)
    assert S3.copy(8 * MIB) == Requests(get=2, put=1)
    assert STREAMED.copy(30_000) == Requests(get=1, put=1)
    assert STREAMED.copy(80 * MIB) == Requests(get=2, put=13)
    local = CopyRoute(source="local", target="local", same_service=False, part_bytes=8 * MIB)
    assert local.copy(GIB) == Requests()


def test_a_price_counts_only_what_leaves():
    prices = Prices(
        currency="USD",
        request_get=0.001,
        request_put=0.01,
        egress_gib=0.09,
        storage_gib_month=0.02,
    )
    assert prices.once(Requests(get=10, put=2), 0) == pytest.approx(0.03)
    assert prices.once(Requests(), 2 * GIB) == pytest.approx(0.18)
    assert prices.monthly(5 * GIB) == pytest.approx(0.1)


def test_nothing_is_assumed_that_was_not_measured():
    bytes_only = Rates(copied_bytes=100, copied_objects=1, copy_s=2)
    assert Rates().seconds(size_bytes=0, rows=0) == 0
    assert Rates().seconds(size_bytes=1, rows=0) is None
    assert bytes_only.seconds(size_bytes=500, rows=0) == 10
    assert bytes_only.seconds(size_bytes=500, rows=1) is None
    both = bytes_only.after(Rates(rows=10, rows_s=5))
    assert both.seconds(size_bytes=50, rows=4) == 3


async def test_rates_are_kept_and_the_newer_count_more():
    area = MemoryArea()
    book = RateBook(area, lambda _: None)
    await book.copied(1000, 1, 1.0)
    await book.wrote(100, 10.0)
    await book.keep()
    other = RateBook(area, lambda _: None)
    assert (await other.rates()).bytes_per_s == 1000
    assert (await other.rates()).rows_per_s == 10
    await other.copied(4000, 1, 1.0)
    await other.copied(1, 1, 0.001)
    assert (await other.rates()).bytes_per_s == pytest.approx(4500 / 1.5)
    await area.replace(NAME, b"{")
    assert (await RateBook(area, lambda _: None).rates()) == Rates()


async def test_short_work_is_measured_while_there_is_nothing_longer():
    area = MemoryArea()
    book = RateBook(area, lambda _: None)
    await book.copied(1000, 1, 0.01)
    await book.wrote(100, 0.02)
    kept = await RateBook(area, lambda _: None).rates()
    assert kept.seconds(size_bytes=1000, rows=100) == pytest.approx(0.03), "without `keep`, too"
    await book.wrote(1, 0.04)
    await RateBook(area, lambda _: None).wrote(1, 0.04)
    assert await book.rates() == kept, "a second short one is overhead"
    await book.wrote(1000, 1.0)
    assert (await book.rates()).rows_per_s == pytest.approx(1000, rel=0.1)


async def story() -> Pipeline:
    """Applied: wiki's two segments and orders. Then the target loses one, and one everybody."""
    pipeline = Pipeline()
    pipeline.publish(segment(), segment(partition=1), segment("orders"))
    await pipeline.cut()
    await pipeline.follow()
    pipeline.target.rows.clear()
    for gone in (segment(partition=1), segment("orders")):
        del pipeline.target_storage.stored[place_of(gone)]
    del pipeline.source_storage.stored[place_of(segment("orders"))]
    await pipeline.area.replace(NAME, b"{")  # on a busy machine the applier has measured rates
    return pipeline


async def appraised(pipeline: Pipeline, *, look: bool) -> CostEstimate:
    plan = await pipeline.restorer().plan(ToOffset(offset=Offset(3)), datasource=None, adopt=False)
    estimator = pipeline.wired().estimator(pipeline.source_storage, STREAMED)
    return await estimator.estimate(plan.reconciliation.plan.picks, removals=0, look=look)


async def test_a_look_says_what_is_there_what_comes_and_what_is_missing():
    pipeline = await story()
    found = await appraised(pipeline, look=True)
    assert (found.rows, found.there, found.objects, found.size_bytes) == (3, 1, 1, 1967)
    assert [row for row, _ in found.missing] == [segment("orders").id]
    assert found.requests == Requests(get=2, put=1)
    shares = {name: (one.segments, one.objects) for name, one in found.by_datasource.items()}
    assert shares == {"wiki": (2, 1), "orders": (1, 0)}
    assert found.streamed_bytes == 1967
    assert found.probed
    assert found.rates.bytes_per_s
    assert found.eta_s is None  # nobody has measured rows here yet


async def test_without_a_look_nothing_is_asked_and_the_payloads_say_how_much_at_most():
    pipeline = await story()
    pipeline.source_storage.stored.clear()
    pipeline.target_storage.stored.clear()
    found = await appraised(pipeline, look=False)
    assert (found.there, found.objects, found.size_bytes) == (0, 3, 3 * 1967)
    assert (found.missing_count, found.probed) == (0, False)


async def test_kept_rates_make_the_time_and_no_probe_is_needed():
    pipeline = await story()
    book = RateBook(pipeline.area, pipeline.seen.append)
    await book.copied(1967 * 4, 4, 2.0)
    await book.wrote(30, 1.0)
    await book.keep()
    found = await appraised(pipeline, look=True)
    assert not found.probed
    assert found.eta_s == pytest.approx(0.5 + 0.1)


async def test_a_storage_that_is_away_is_no_missing_object():
    pipeline = await story()

    async def away(*_: object, **__: object) -> None:
        raise TransientError("down")

    pipeline.source_storage.objects = away  # type: ignore[assignment, method-assign]
    with pytest.raises(TransientError):
        await appraised(pipeline, look=True)


async def test_the_digest_of_the_rows_changes_with_them():
    pipeline = await story()
    found = await pipeline.reconciler().reconcile(
        await pipeline.history().find(ToOffset(offset=Offset(3))), paused=True
    )
    pipeline.target.rows.update(pipeline.source.rows)
    other = await pipeline.reconciler().reconcile(
        await pipeline.history().find(ToOffset(offset=Offset(3))), paused=True
    )
    assert found.present != other.present
