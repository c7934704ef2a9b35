"""Drills: the store alone is enough, or somebody is told; and nothing but evidence is written."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from replicator.adapters.memory.broker import MemoryBroker
from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.app.wiring import pipeline as wiring
from replicator.app.wiring.histories import HistorySource
from replicator.errors import (
    ConfigError,
    CorruptionError,
    GapError,
    RefusedError,
    ReplicatorError,
    TransientError,
)
from replicator.model.event import CutNumber, Offset
from replicator.model.fingerprint import Digest
from replicator.model.load_spec import LocalLayout
from replicator.model.observation import DrillEnded, Observation, Observer
from replicator.model.observed.faults import Waiting
from replicator.model.plans.restore_point import Latest, ToOffset
from replicator.model.store.drill import (
    AnyCut,
    DrillPoint,
    DrillStep,
    Evidence,
    Rehearsed,
    Trial,
    drawn,
    evidence_bytes,
    evidence_of,
)
from replicator.model.store.drilled import Drilled, evidence_name
from replicator.model.store.holds import Hold, NamedPoint
from replicator.services.drills.driller import EMPTY_BYTES, ROW_BYTES, Driller, Rehearsal
from replicator.services.records.drill_record import EVIDENCE_BYTES_MAX, READ_MAX, DrillRecord
from replicator.services.restore.restorer import Restorer
from replicator.services.running.pause import unless
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Store
from replicator.services.store.windows import windows
from replicator.services.target.copier import Backup
from tests.builders import commit, segment
from tests.unit.pipeline import ORIGIN, RETRIES, SIZE_BYTES, SOURCE, TARGET_ROOT, Pipeline
from tests.unit.services.drills.test_trial import ALL, Scratch, availability
from tests.unit.services.verification.test_query_verifier import wiki
from tests.wiring import target_settings

SCRATCH = LocalLayout(root="/scratch/segments")
GOLDEN = Path(__file__).parents[3] / "schemas" / "golden" / "drill-v1"
KEPT = LocalLayout(root=TARGET_ROOT)


@dataclass
class Drilling:
    """A target with a history, and what drills it."""

    pipeline: Pipeline = field(default_factory=Pipeline)
    bytes_max: int = 1 << 40
    free_bytes: int = 1 << 40
    rotten: bool = False
    """The scratch disk alters what is written to it."""
    open_places: int = 0
    expired: dict[str, Any] = field(default_factory=dict)
    """What an expiry has changed about the windows."""
    druid: Scratch | None = None
    """What tries the restored cluster."""
    breaks: Exception | None = None
    """Raised when the scratch place is taken down."""

    def __post_init__(self) -> None:
        self.told: list[DrillEnded | Waiting] = []
        self.record = DrillRecord(self.pipeline.area)
        self.driller = Driller(
            target="vault",
            record=self.record,
            bytes_max=self.bytes_max,
            program="1.2.3",
            clock=self.pipeline.clock,
            rng=Random(2),
            observer=self.observe,
        )

    def observe(self, seen: Observation) -> None:
        if isinstance(seen, DrillEnded | Waiting):
            self.told.append(seen)

    async def drill(self, point: DrillPoint) -> Evidence:
        drill = self.driller.begin(point)
        try:
            async with self.rehearsal(drill.observer) as rehearsal:
                await drill.run(rehearsal)
        except ReplicatorError as exc:
            await self.driller.fail(drill, exc)
            raise
        return await self.driller.end(drill)

    @asynccontextmanager
    async def rehearsal(self, observer: Observer) -> AsyncGenerator[Rehearsal]:
        self.open_places += 1
        try:
            yield await self.set_up(observer)
        finally:
            self.open_places -= 1
            if self.breaks is not None:
                raise self.breaks

    async def set_up(self, observer: Observer) -> Rehearsal:
        pipeline = self.pipeline
        store = Store(pipeline.area)
        archive = ArchivedLog(store, "log")
        archive.fix()
        drilled = pipeline.configured()
        scratch = wiring.Pipeline(
            HistorySource(source=SOURCE, layout=ORIGIN, log=archive, bases=archive),
            replace(
                drilled,
                name="scratch",
                settings=target_settings(SCRATCH.root, retry=RETRIES),
                metadata=MemoryMetadata(pipeline.clock),
                storage=RottenStorage() if self.rotten else MemoryDeepStorage(),
            ),
            replace(pipeline.tools(), observer=lambda _: observer),
            mapping=replace(pipeline.mapping(), target=SCRATCH, config_names=frozenset()),
        )
        backup = Backup(layout=KEPT, storage=pipeline.target_storage)
        return Rehearsal(
            source=SOURCE,
            windows=replace(await windows(store, "log", pipeline.points(store)), **self.expired),
            free_bytes=self.free_bytes,
            restorer=scratch.restorer(backup, of=drilled),
            verifier=scratch.verifier(),
            trial=None if self.druid is None else self.druid.trial(),
        )


class RottenStorage(MemoryDeepStorage):
    """Says what was stored, and returns something else."""

    async def put(self, location, copy_source):
        receipt = await super().put(location, copy_source)
        self.stored[location] = dict.fromkeys(self.stored[location], b"y" * SIZE_BYTES)
        return receipt


async def filled(**options) -> Drilling:
    """Three cuts, at offsets 3, 5 and 7; the second segment goes in the last one."""
    drilling = Drilling(**options)
    pipeline = drilling.pipeline
    pipeline.publish(segment("wiki"), segment("orders"), commit())
    await pipeline.cut()
    await pipeline.follow()
    pipeline.publish(segment("wiki", 1))
    await pipeline.cut()
    await pipeline.follow()
    pipeline.kill(segment("orders"))
    await pipeline.cut()
    await pipeline.follow()
    return drilling


def everything(pipeline: Pipeline) -> tuple[object, ...]:
    """What a drill must not change."""
    own = {n: data for n, data in pipeline.area.files.items() if not n.startswith("drills/")}
    return (
        own,
        dict(pipeline.target.rows),
        {**pipeline.target_storage.stored},
        {**pipeline.target_storage.receipts},
        dict(pipeline.source.rows),
    )


@pytest.mark.parametrize(
    ("point", "offset", "segments", "said"),
    [
        (Latest(), 7, 2, "latest"),
        (ToOffset(offset=Offset(3)), 3, 2, "offset 3"),
        (ToOffset(offset=Offset(6)), 5, 3, "offset 6"),
    ],
)
async def test_a_good_drill_leaves_evidence_and_nothing_else(
    point: DrillPoint, offset: int, segments: int, said: str
):
    drilling = await filled()
    before = everything(drilling.pipeline)
    evidence = await drilling.drill(point)
    assert everything(drilling.pipeline) == before
    assert drilling.open_places == 0
    assert evidence.is_good
    assert (evidence.point, evidence.program, evidence.log_id) == (said, "1.2.3", "log")
    assert evidence.rehearsed is not None
    assert (evidence.rehearsed.offset, evidence.rehearsed.segments) == (offset, segments)
    assert (evidence.rehearsed.rows, evidence.rehearsed.objects) == (segments + 1, segments)
    sizes = {step.name: step.size_bytes for step in evidence.steps}
    whole = segments * SIZE_BYTES
    assert sizes == {"plan": None, "copy": whole, "rows": None, "verify": whole}
    (kept,) = [name for name in drilling.pipeline.area.files if name.startswith("drills/")]
    assert kept == "drills/20240601T000030.000000Z.json"
    assert evidence_of(kept, drilling.pipeline.area.files[kept]) == rounded(evidence)
    assert [ended.is_good for ended in ended_of(drilling)] == [True]


async def test_a_druid_reads_what_was_proved():
    drilling = await filled(druid=Scratch(MemoryBroker({"wiki": wiki()}), ALL))
    evidence = await drilling.drill(Latest())
    assert evidence.is_good
    assert evidence.trial == Trial(release="33.0.0", segments=5, rows=15)
    names = [step.name for step in evidence.steps]
    assert names == ["plan", "copy", "rows", "verify", "load", "query"]
    (kept,) = (await drilling.record.newest(5))[0]
    assert kept.trial == evidence.trial
    assert evidence.recovery_s == sum(step.seconds for step in evidence.steps[:3])


async def test_what_a_druid_cannot_load_makes_a_drill_bad():
    look = availability(served=0, rows={}, unserved=200, unserved_ids=("wiki_1",))
    drilling = await filled(druid=Scratch(MemoryBroker({}), look, stall_timeout_s=0))
    evidence = await drilling.drill(Latest())
    assert (evidence.is_good, evidence.findings_count, evidence.failure) == (False, 200, None)
    assert evidence.findings == ("segment wiki_1 is not loaded by any Historical",)
    assert [ended.is_good for ended in ended_of(drilling)] == [False]


async def test_no_druid_is_started_over_what_is_wrong_already():
    druid = Scratch(MemoryBroker({"wiki": wiki()}), ALL)
    drilling = await filled(rotten=True, druid=druid)
    evidence = await drilling.drill(Latest())
    assert (evidence.is_good, evidence.trial, druid.starts) == (False, None, 0)


async def test_a_druid_needs_the_room_of_all_bytes_once_more():
    druid = Scratch(MemoryBroker({"wiki": wiki()}), ALL)
    drilling = await filled(druid=druid)
    rows = 3
    once = 2 * SIZE_BYTES + rows * ROW_BYTES + EMPTY_BYTES
    drilling.free_bytes = once + 2 * SIZE_BYTES - 1
    with pytest.raises(RefusedError, match=f"may take {once + 2 * SIZE_BYTES} bytes"):
        await drilling.drill(Latest())
    drilling.free_bytes += 1
    drilling.pipeline.clock.move(1)
    assert (await drilling.drill(Latest())).is_good
    assert druid.starts == 1


async def test_the_evidence_is_read_with_any_json_tool():
    drilling = await filled()
    await drilling.drill(Latest())
    (name,) = [name for name in drilling.pipeline.area.files if name.startswith("drills/")]
    found = orjson.loads(drilling.pipeline.area.files[name])
    cut = await drilling.pipeline.history().find(Latest())
    assert found["restored"]["digest"] == f"{cut.closed.digest:064x}"
    assert found["restored"]["source_time"] == cut.closed.source_time.isoformat()
    assert (found["good"], found["findings"], found["failure"]) == (True, [], None)
    assert [step["step"] for step in found["steps"]] == ["plan", "copy", "rows", "verify"]


def test_the_golden_evidence_is_read_by_this_release_and_written_alike():
    data = (GOLDEN / "evidence-with-druid.json").read_bytes()
    with_druid = replace(golden(), trial=Trial(release="33.0.0", segments=3, rows=1234))
    assert evidence_of("drills/x.json", data) == with_druid
    assert evidence_bytes(with_druid) == data
    assert evidence_of("drills/x.json", (GOLDEN / "evidence.json").read_bytes()) == golden()
    assert evidence_name(golden()) == "drills/20240601T120000.123456Z.json"


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": 2}'])
def test_evidence_of_another_format_is_refused_by_name(data: bytes):
    with pytest.raises(CorruptionError, match=r"drills/x\.json"):
        evidence_of("drills/x.json", data)


async def test_bytes_that_are_gone_from_the_store_are_a_gap():
    drilling = await filled()
    stored = drilling.pipeline.target_storage.stored
    del stored[next(place for place in stored if "orders" in place)]
    with pytest.raises(GapError, match="orders"):
        await drilling.drill(ToOffset(offset=Offset(3)))
    (evidence,) = (await drilling.record.newest(5))[0]
    assert not evidence.is_good
    assert "orders" in (evidence.failure or "")
    assert [step.name for step in evidence.steps] == ["plan", "copy", "rows"]
    assert drilling.open_places == 0
    assert [ended.is_good for ended in ended_of(drilling)] == [False]
    drilling.pipeline.clock.move(1)
    assert (await drilling.drill(Latest())).is_good  # it was killed before the last cut


async def test_bytes_that_have_rotted_in_the_store_are_not_good():
    drilling = await filled()
    stored = drilling.pipeline.target_storage.stored
    place = next(place for place in stored if "orders" not in place)
    stored[place] = dict.fromkeys(stored[place], b"z" * SIZE_BYTES)
    with pytest.raises(CorruptionError, match="receipt"):
        await drilling.drill(Latest())
    (evidence,) = (await drilling.record.newest(5))[0]
    assert not evidence.is_good


async def test_what_the_proof_finds_makes_a_drill_bad():
    drilling = await filled(rotten=True)
    evidence = await drilling.drill(Latest())
    assert (evidence.is_good, evidence.findings_count, evidence.failure) == (False, 2, None)
    assert "other bytes" in evidence.findings[0]
    assert [ended.is_good for ended in ended_of(drilling)] == [False]
    assert (await drilling.record.drilled()).last_good is None


@pytest.mark.parametrize("offset", [2, 99])
async def test_a_point_outside_the_store_is_a_gap_with_evidence(offset: int):
    drilling = await filled()
    with pytest.raises(GapError, match=r"can restore from offset 3 .* to offset 7"):
        await drilling.drill(ToOffset(offset=Offset(offset)))
    (evidence,) = (await drilling.record.newest(5))[0]
    assert evidence.rehearsed is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bytes_max": EMPTY_BYTES + 100}, "drill.bytes_max allows"),
        ({"free_bytes": EMPTY_BYTES + 100}, "the disk of drill.folder has"),
    ],
)
async def test_what_does_not_fit_is_refused_before_anything_is_copied(options, words: str):
    drilling = await filled(**options)
    with pytest.raises(RefusedError, match=words):
        await drilling.drill(Latest())
    (evidence,) = (await drilling.record.newest(5))[0]
    assert [step.name for step in evidence.steps] == ["plan"]


async def test_scratch_that_does_not_go_away_is_a_failure():
    """Whoever drills each week would fill the disk otherwise."""
    drilling = await filled()
    drilling.breaks = TransientError("PostgreSQL does not stop")
    with pytest.raises(TransientError):
        await drilling.drill(Latest())
    (evidence,) = (await drilling.record.newest(5))[0]
    assert (evidence.is_good, evidence.failure) == (False, "PostgreSQL does not stop")


async def test_a_drill_that_cannot_begin_leaves_no_evidence_but_is_told():
    drilling = await filled()

    async def without_history(observer: Observer) -> Rehearsal:
        raise ConfigError("the store is of another type")

    drilling.set_up = without_history  # type: ignore[method-assign]
    with pytest.raises(ConfigError):
        await drilling.drill(Latest())
    assert (await drilling.record.newest(5))[0] == []
    assert [ended.is_good for ended in ended_of(drilling)] == [False]


def test_a_drawn_cut_is_within_a_window_and_all_are_drawn_in_time():
    spans = [(Offset(3), Offset(5)), (Offset(90), Offset(90))]
    rng = Random(1)
    found = {drawn(spans, rng) for _ in range(200)}
    assert found == {ToOffset(offset=Offset(offset)) for offset in (3, 4, 5, 90)}
    with pytest.raises(GapError):
        drawn([], rng)


async def test_any_cut_means_a_cut_that_can_be_restored():
    drilling = await filled()
    offsets = set()
    for _ in range(20):
        drilling.pipeline.clock.move(1)
        evidence = await drilling.drill(AnyCut())
        assert evidence.is_good
        assert evidence.rehearsed is not None
        offsets.add(evidence.rehearsed.offset)
    assert offsets == {3, 5, 7}


async def test_what_has_expired_is_not_drawn_unless_it_is_held():
    point = NamedPoint(
        name="quarter",
        log_id="log",
        offset=Offset(3),
        cut=CutNumber(1),
        source_time=datetime.fromisoformat("2024-06-01T00:00:10+00:00"),
        created_at=datetime.fromisoformat("2024-06-01T00:00:30+00:00"),
    )
    held = Hold(point=point, reason="audit", until=None)
    for holds, wanted in (((), {7}), ((held,), {3, 7})):
        drilling = await filled(expired={"horizon": Offset(7), "holds": holds})
        offsets = set()
        for _ in range(10):
            drilling.pipeline.clock.move(1)
            found = (await drilling.drill(AnyCut())).rehearsed
            offsets.add(found.offset if found else None)
        assert offsets == wanted


# ------------------------------------------------------------------------------------ the evidence


async def test_the_newest_good_one_counts_and_an_altered_file_is_named():
    drilling = await filled()
    first = await drilling.drill(Latest())
    drilling.rotten = True
    drilling.pipeline.clock.move(60)
    second = await drilling.drill(Latest())
    for number in range(READ_MAX):
        drilling.pipeline.area.files[f"drills/zzz{number:03}.json"] = b""
    found = await drilling.record.drilled()
    assert found == Drilled(last=rounded(second), last_good=rounded(first)), "others take no place"
    name = evidence_name(second)
    drilling.pipeline.area.files[name] = b"{}"
    again = await DrillRecord(drilling.pipeline.area).drilled()
    assert again.unknown is None, "one file of evidence stops no other"
    assert again.last == again.last_good == rounded(first)
    assert name in "".join(again.faults)
    kept, faults = await DrillRecord(drilling.pipeline.area).newest(5)
    assert kept == [rounded(first)]
    assert name in "".join(faults)
    drilling.pipeline.area.files[name] = b" " * (EVIDENCE_BYTES_MAX + 1)
    kept, (large,) = await DrillRecord(drilling.pipeline.area).newest(5)
    assert kept == [rounded(first)]
    assert "more than the 1048576" in large


async def test_evidence_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("replicator.services.records.drill_record.KEPT_MAX", 2)
    drilling = await filled()
    begun = []
    for _ in range(3):
        drilling.pipeline.clock.move(60)
        begun.append((await drilling.drill(Latest())).started_at)
    assert [one.started_at for one in (await drilling.record.newest(9))[0]] == begun[:0:-1]


def test_a_promise_is_kept_by_a_good_drill_alone():
    good, bad = made(), made(failure="x")
    later = good.ended_at + timedelta(days=3)
    assert Drilled(last=bad, last_good=good).keeps(timedelta(days=3), later)
    assert not Drilled(last=bad, last_good=good).keeps(timedelta(days=2), later)
    assert not Drilled(last=bad).keeps(timedelta(days=3), later)
    assert not Drilled(unknown="the store is away").keeps(timedelta(days=3), later)
    assert Drilled().keeps(None, later)


# ------------------------------------------------------------------------------------ its end


async def test_a_signal_ends_a_drill_and_its_scratch():
    """`run` has some seconds to end; nothing is left, and nothing is claimed."""
    drilling = await filled()
    begun, stop = asyncio.Event(), asyncio.Event()

    class Stuck(Restorer):
        async def copy(self, plan):
            begun.set()
            await asyncio.Event().wait()

    set_up = drilling.set_up

    async def stuck(observer: Observer) -> Rehearsal:
        rehearsal = await set_up(observer)
        rehearsal.restorer.__class__ = Stuck
        return rehearsal

    drilling.set_up = stuck  # type: ignore[method-assign]
    running = asyncio.create_task(unless(stop, drilling.drill(Latest())))
    await begun.wait()
    assert drilling.open_places == 1
    stop.set()
    async with asyncio.timeout(5):
        await running
    assert drilling.open_places == 0
    assert (await drilling.record.newest(5))[0] == []


async def test_unless_gives_what_the_work_gives_and_raises_what_it_raises():
    stop = asyncio.Event()

    async def work(fails: bool) -> int:
        if fails:
            raise TransientError("no")
        return 5

    assert await unless(stop, work(fails=False)) == 5
    with pytest.raises(TransientError):
        await unless(stop, work(fails=True))
    stop.set()
    assert await unless(stop, asyncio.sleep(60, 5)) is None


# --------------------------------------------------------------------------------------- makers


def golden() -> Evidence:
    """A drill that found something, the same on every day."""
    begun = datetime.fromisoformat("2024-06-01T12:00:00.123456+00:00")
    return Evidence(
        target="vault",
        source="prod",
        log_id="0123456789abcdef",
        point="any",
        program="0.1.0",
        started_at=begun,
        ended_at=begun + timedelta(seconds=90),
        rehearsed=Rehearsed(
            cut=CutNumber(7),
            offset=Offset(42),
            source_time=begun - timedelta(days=1),
            digest=Digest((1 << 255) + 7),
            rows=5,
            segments=3,
            objects=2,
        ),
        steps=(
            DrillStep(name="plan", seconds=1.5),
            DrillStep(name="copy", seconds=60.25, size_bytes=1 << 30),
            DrillStep(name="rows", seconds=2.0),
            DrillStep(name="verify", seconds=20.0, size_bytes=1 << 30),
        ),
        findings=("row wiki_1 is missing or differs",),
        findings_count=1,
        failure=None,
    )


def ended_of(drilling: Drilling) -> list[DrillEnded]:
    return [seen for seen in drilling.told if isinstance(seen, DrillEnded)]


def rounded(evidence: Evidence) -> Evidence:
    steps = [
        DrillStep(name=step.name, seconds=round(step.seconds, 3), size_bytes=step.size_bytes)
        for step in evidence.steps
    ]
    return Evidence(
        **{name: getattr(evidence, name) for name in Evidence.__slots__ if name != "steps"},
        steps=tuple(steps),
    )


def made(*, failure: str | None = None, days: int = 0) -> Evidence:
    at = datetime.fromisoformat("2024-06-01T00:00:00+00:00") + timedelta(days=days)
    return Evidence(
        target="vault",
        source=SOURCE,
        log_id="log",
        point="latest",
        program="1",
        started_at=at,
        ended_at=at,
        rehearsed=None,
        steps=(),
        findings=(),
        findings_count=0,
        failure=failure,
    )
