"""The files of a target's history: what a golden copy holds, and what is noticed of damage."""

import asyncio
import json
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import cramjam
import pytest

from replicator.adapters.memory.area import MemoryArea, SortedFiles
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.adapters.signing.area import SignedArea
from replicator.errors import CorruptionError, GapError, LogCutShortError, TransientError
from replicator.model.checkpoint import OBJECT_MISSING, Gap
from replicator.model.document import CONTAINERS_MAX
from replicator.model.event import (
    ClosedCut,
    CutClosed,
    CutNumber,
    Envelope,
    Epoch,
    Offset,
    Record,
    RowChanged,
)
from replicator.model.fingerprint import Digest, fingerprint
from replicator.model.load_spec import LocalLayout, S3Layout, SourceLayout
from replicator.model.log.reading import Recorded
from replicator.model.log.wire import encode
from replicator.model.observation import BaseWritten
from replicator.model.observed.faults import ArchiveDamaged
from replicator.model.operations.signature import split
from replicator.model.plans.restore_point import BeforeEvent, Latest, ToOffset, ToTime
from replicator.model.row import key_of
from replicator.model.store.archive import (
    BASES,
    HISTORY,
    Base,
    BasePart,
    Header,
    base_of,
    history_name,
    manifest,
    manifest_name,
    pack,
    record_line,
    unpack,
)
from replicator.model.store.archive_notes import (
    About,
    about_json,
    about_name,
    about_of,
    gaps_json,
    gaps_of,
)
from replicator.model.store.proof import Level
from replicator.ports import DOCUMENT_BYTES_MAX
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History
from replicator.services.store.archived_log import (
    FALSE_BASES_MAX,
    FALSE_NAMES_MAX,
    ArchivedLog,
    archived_gaps,
)
from replicator.services.store.store import Store
from replicator.services.store.windows import windows
from replicator.services.target.executor import Executor
from tests.builders import segment
from tests.simulation.remembering import remembering
from tests.simulation.virtual_time import in_virtual_time
from tests.unit.adapters.test_signing import rule as signing_rule
from tests.unit.pipeline import SOURCE, Pipeline, place_of

GOLDEN = Path(__file__).parents[3] / "schemas" / "golden" / "archive-v1"
TIME = datetime(2024, 6, 1, 12, 0, 0, 123456, tzinfo=UTC)
LOG = "0123456789abcdef"


def golden_records() -> list[Record]:
    """Two events and the record that closes their cut, the same on every day."""
    envelope = Envelope(source="prod", cut=CutNumber(7), epoch=Epoch(3), time=TIME)
    rows = [segment("a"), segment("b")]
    changed = [RowChanged(row=row, fingerprint=fingerprint(row), previous=None) for row in rows]
    documents = [encode(event, envelope) for event in changed]
    documents.append(encode(golden_cut().closed, envelope))
    return [
        Record(Offset(40 + i), TIME + timedelta(seconds=i), document.type, document.data)
        for i, document in enumerate(documents)
    ]


def golden_cut() -> ClosedCut:
    marks = [int.from_bytes(fingerprint(segment(name))) for name in "ab"]
    closed = CutClosed(
        cut=CutNumber(7),
        source_time=TIME,
        count=2,
        digest=Digest(sum(marks) % (1 << 256)),
        epoch=Epoch(3),
    )
    return ClosedCut(offset=Offset(42), closed=closed)


def golden_file() -> tuple[str, bytes]:
    header = Header(kind=HISTORY, source="prod", log_id=LOG, start=Offset(40), previous="ab" * 32)
    lines = [record_line(record) for record in golden_records()]
    data, footer = pack(header, lines, end=Offset(43), last=golden_cut())
    return history_name(LOG, header.start, footer.end), data


def golden_base() -> Base:
    part = BasePart(start=Offset(40), records=2, sha256="cd" * 32)
    return Base(source="prod", log_id=LOG, cut=golden_cut(), rows=2, parts=(part,))


def golden_about() -> About:
    origin = SourceLayout(
        main=S3Layout(bucket="b", prefix="druid"), others={"old": LocalLayout(root="/old")}
    )
    return About(
        source="prod", log_id=LOG, source_layout=origin, target_layout=LocalLayout(root="/kept")
    )


def golden_gap() -> Gap:
    return Gap(key="s", datasource="d", reason=OBJECT_MISSING, detail="gone", opened=Offset(3))


# ------------------------------------------------------------------------------------ the format


def test_the_golden_history_file_is_read_by_this_release():
    """Its bytes were written by the release that made the format; they never change."""
    name = history_name(LOG, Offset(40), Offset(43))
    file = unpack(name, (GOLDEN / "history.jsonl.zst").read_bytes())
    assert file.records == golden_records()
    assert file.footer.last == golden_cut()
    assert file.header.previous == "ab" * 32


def test_the_golden_documents_are_read_by_this_release():
    manifest_bytes = (GOLDEN / "manifest.json").read_bytes()
    assert base_of(manifest_name(LOG, Offset(42)), manifest_bytes) == golden_base()
    assert about_of(about_name(LOG), (GOLDEN / "about.json").read_bytes()) == golden_about()
    assert gaps_of("gaps", (GOLDEN / "gaps.json").read_bytes()) == (golden_gap(),)


def test_this_release_writes_what_the_golden_copies_say():
    _, data = golden_file()
    mine = cramjam.zstd.decompress(data)
    assert bytes(mine) == bytes(
        cramjam.zstd.decompress((GOLDEN / "history.jsonl.zst").read_bytes())
    )
    assert manifest(golden_base()) == (GOLDEN / "manifest.json").read_bytes()
    assert about_json(golden_about()) == (GOLDEN / "about.json").read_bytes()
    assert gaps_json([golden_gap()]) == (GOLDEN / "gaps.json").read_bytes()


def test_a_file_that_unpacks_to_too_much_is_refused_without_the_memory():
    """A hundred kilobytes can be gigabytes."""
    bomb = bytes(cramjam.zstd.compress(bytes(200 << 20)))
    assert len(bomb) < 30_000
    name, data = golden_file()
    tracemalloc.start()
    try:
        with pytest.raises(CorruptionError, match=rf"{name} unpacks to more than 67108864 bytes"):
            unpack(name, bomb)
        assert tracemalloc.get_traced_memory()[1] < 70 << 20
    finally:
        tracemalloc.stop()
    body = len(bytes(cramjam.zstd.decompress(data)))
    assert unpack(name, data, bytes_max=body).footer.records == 3
    with pytest.raises(CorruptionError, match=r"raise `history.file_bytes_max`|unpacks to more"):
        unpack(name, data, bytes_max=body - 1)


def test_a_footer_of_very_many_values_is_refused_without_the_memory():
    """Six kilobytes can be millions of values."""
    body = b'{"format":1}\n{"last":[' + b"[]," * CONTAINERS_MAX + b"[]]}\n"
    with pytest.raises(CorruptionError, match=r"history/x cannot be read: .*values, or objects"):
        unpack("history/x", bytes(cramjam.zstd.compress(body)))


@pytest.mark.parametrize("times", [1, 30, 3_000])
def test_room_is_made_for_what_packs_well(times: int):
    record = golden_records()[0]
    lines = [record_line(record._replace(offset=Offset(40 + n))) for n in range(times)]
    header = Header(kind=HISTORY, source="prod", log_id=LOG, start=Offset(40), previous=None)
    data, _ = pack(header, lines, end=Offset(40 + times), last=None)
    found = unpack(history_name(LOG, Offset(40), Offset(40 + times)), data)
    assert [one.offset for one in found.records] == list(range(40, 40 + times))


def test_a_file_of_empty_lines_is_refused_before_they_are_cut():
    header = Header(kind=HISTORY, source="prod", log_id=LOG, start=Offset(40), previous=None)
    data, _ = pack(header, [b"\n"] * 1_000_000, end=Offset(43), last=None)
    with pytest.raises(CorruptionError, match="its lines are no records"):
        unpack(history_name(LOG, Offset(40), Offset(43)), data)


@pytest.mark.parametrize("offsets", [(41, 40), (40, 40), (39, 41), (40, 43), (40, 10**30)], ids=str)
def test_records_that_are_not_of_the_files_offsets_are_refused(offsets: tuple[int, int]):
    record = golden_records()[0]
    lines = [record_line(record._replace(offset=Offset(one))) for one in offsets]
    header = Header(kind=HISTORY, source="prod", log_id=LOG, start=Offset(40), previous=None)
    data, _ = pack(header, lines, end=Offset(43), last=None)
    with pytest.raises(CorruptionError, match="not in the order of its offsets"):
        unpack(history_name(LOG, Offset(40), Offset(43)), data)


def test_a_record_of_a_time_that_cannot_be_reckoned_with_is_refused():
    line = record_line(golden_records()[0]).replace(b"2024-06-01T", b"0001-01-01T", 1)
    header = Header(kind=HISTORY, source="prod", log_id=LOG, start=Offset(40), previous=None)
    data, _ = pack(header, [line], end=Offset(41), last=None)
    with pytest.raises(CorruptionError, match="not between the years 1970 and 9000"):
        unpack(history_name(LOG, Offset(40), Offset(41)), data)


def test_any_json_tool_reads_it():
    """A line a record, the event in it as CloudEvents has it."""
    _, data = golden_file()
    header, *lines, footer = bytes(cramjam.zstd.decompress(data)).splitlines()
    assert json.loads(header)["format"] == 1
    assert [json.loads(line)["event"]["type"] for line in lines] == [
        "segment.published", "segment.published", "cut.closed",
    ]  # fmt: skip
    assert json.loads(footer)["records"] == 3


def test_every_flipped_byte_is_noticed():
    name, data = golden_file()
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1
        try:
            found = unpack(name, bytes(altered))
        except CorruptionError as exc:
            assert name in str(exc)  # noqa: PT017 - most places raise, the others must be harmless
        else:
            assert (found.records, found.footer.last) == (golden_records(), golden_cut())


def test_every_truncation_is_noticed():
    name, data = golden_file()
    for length in range(len(data)):
        with pytest.raises(CorruptionError, match=r"cannot be read"):
            unpack(name, data[:length])


def test_a_file_under_another_name_is_noticed():
    _, data = golden_file()
    with pytest.raises(CorruptionError, match="it is history"):
        unpack(history_name(LOG, Offset(40), Offset(44)), data)
    with pytest.raises(CorruptionError, match="it is history"):
        unpack(history_name("another", Offset(40), Offset(43)), data)


def test_every_flipped_byte_of_a_manifest_is_noticed():
    name, data = manifest_name(LOG, Offset(42)), manifest(golden_base())
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises(CorruptionError, match="manifest"):
            base_of(name, bytes(altered))


# ------------------------------------------------------------------------------------ the archive


async def followed(pipeline: Pipeline, *, cuts: int = 6) -> list[int]:
    """Publish and apply some cuts; return the offsets at which they were closed."""
    for number in range(cuts):
        pipeline.publish(*[segment(f"s{number}-{i}") for i in range(3)])
        await pipeline.cut()
        await pipeline.follow()
    span = await pipeline.history().span()
    return [cut.offset for cut in await pipeline.history().cuts(span.first, span.end)]


def alone(pipeline: Pipeline) -> History:
    archive = ArchivedLog(Store(pipeline.area), "log")
    return History(
        archive,
        source=SOURCE,
        workers=InPlaceWorkers(),
        bases=archive,
        records_per_read_max=4,
        observer=pipeline.seen.append,
    )


async def test_a_target_keeps_its_history_from_its_first_cut_on():
    pipeline = Pipeline()
    offsets = await followed(pipeline)
    found = await windows(Store(pipeline.area), "log", pipeline.points())
    (window,) = found.windows
    assert (window.first.offset, window.last.offset) == (offsets[0], offsets[-1])
    assert found.faults == ()
    history = alone(pipeline)
    for offset in offsets:
        live = await pipeline.history().find(ToOffset(offset=Offset(offset)))
        assert await history.find(ToOffset(offset=Offset(offset))) == live
    assert (await history.find(Latest())).offset == offsets[-1]
    at = await history.find(BeforeEvent(offset=Offset(offsets[3])))
    assert at.offset == offsets[2]
    time = (await history.find(ToOffset(offset=Offset(offsets[2])))).closed.source_time
    assert (await history.find(ToTime(time=time + timedelta(seconds=1)))).offset == offsets[2]


async def test_a_missing_file_in_between_is_noticed_and_never_jumped_over():
    pipeline = Pipeline()
    offsets = await followed(pipeline)
    files = sorted(name for name in pipeline.area.files if name.startswith(HISTORY))
    del pipeline.area.files[files[2]]
    assert any("no history from offset" in one for one in await damages(pipeline))
    history = alone(pipeline)
    with pytest.raises(GapError, match="no records"):
        await history.raw(Offset(offsets[2] + 1))
    assert (await history.find(ToOffset(offset=Offset(offsets[2])))).offset == offsets[2]
    with pytest.raises(GapError, match="hole"):
        await history.find(ToOffset(offset=Offset(offsets[3] - 1)))


async def damages(pipeline: Pipeline) -> list[str]:
    return [*await ArchivedLog(Store(pipeline.area), "log").damages()]


@pytest.mark.parametrize("kind", [HISTORY, BASES])
async def test_every_file_that_is_missing_cut_short_or_altered_is_named(kind: str):
    pipeline = Pipeline()
    offsets = await followed(pipeline)
    await pipeline.archivist().write_base(
        await pipeline.history().find(ToOffset(offset=Offset(offsets[3])))
    )
    assert not await damages(pipeline)
    whole = dict(pipeline.area.files)
    for name in sorted(whole):
        if not name.startswith(kind):
            continue
        for change in (None, whole[name][:-1], flipped(whole[name])):
            pipeline.area.files = SortedFiles(whole)
            if change is None:
                del pipeline.area.files[name]
            else:
                pipeline.area.files[name] = change
            if change is not None or not is_end(name, whole):
                assert await damages(pipeline), f"{name}, {change and len(change)}"


def is_end(name: str, files: dict[str, bytes]) -> bool:
    """Whether nobody can miss this file: the newest of the history, a base that is not needed."""
    newest = max(one for one in files if one.startswith(HISTORY))
    return name == newest or name.endswith("manifest.json")


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


async def test_an_altered_base_is_passed_over_for_the_one_before_it():
    """What can still be restored is restored, and the observer hears which file is altered."""
    pipeline = Pipeline()
    offsets = await followed(pipeline)
    cut = await pipeline.history().find(ToOffset(offset=Offset(offsets[3])))
    await pipeline.archivist().write_base(cut)
    part = next(n for n in pipeline.area.files if n.startswith(BASES) and str(offsets[3]) in n)
    pipeline.area.files[part] = flipped(pipeline.area.files[part])
    pipeline.log.trim(Offset(offsets[-1]))
    pipeline.seen.clear()
    restorer = pipeline.restorer()
    plan = await restorer.plan(ToOffset(offset=Offset(offsets[4])), datasource=None, adopt=False)
    await restorer.execute(plan, accept_gaps=False)
    assert len(pipeline.target_ids()) == 15
    told = [one.reason for one in pipeline.seen if isinstance(one, ArchiveDamaged)]
    assert told
    assert all(str(offsets[3]) in reason for reason in told)


async def test_a_watcher_goes_on_where_the_log_was_trimmed():
    pipeline = Pipeline()
    await followed(pipeline)
    span = await pipeline.history().span()
    pipeline.log.trim(Offset(span.end - 1))
    pipeline.watcher = pipeline.new_watcher()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    await pipeline.follow()
    assert len(pipeline.target_ids()) == 19


async def test_an_altered_end_begins_the_history_anew():
    """Following goes on, and says so; the altered file stays as evidence."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=3)
    newest = max(name for name in pipeline.area.files if name.startswith(HISTORY))
    pipeline.area.files[newest] = b"rubbish"
    pipeline.applier = pipeline.new_applier()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    await pipeline.follow()
    assert [one for one in pipeline.seen if isinstance(one, ArchiveDamaged)]
    found = await windows(Store(pipeline.area), "log", pipeline.points())
    assert found.windows[-1].last.closed.cut == 4
    assert pipeline.area.files[newest] == b"rubbish"


async def test_an_end_that_nobody_signed_begins_the_history_anew():
    """Its checksums add up, so that without a key the applier goes on after it."""
    for rule in (signing_rule(), None):
        pipeline = Pipeline()
        files = pipeline.area.files
        pipeline.area = cast("MemoryArea", SignedArea(pipeline.area, rule))
        pipeline.applier = pipeline.new_applier()
        await followed(pipeline, cuts=3)
        newest = max(name for name in files if name.startswith(HISTORY))
        files[newest], _ = split(newest, files[newest])
        pipeline.applier = pipeline.new_applier()
        pipeline.publish(segment("late"))
        await pipeline.cut()
        await pipeline.follow()
        told = [one.reason for one in pipeline.seen if isinstance(one, ArchiveDamaged)]
        assert set(told) == (set() if rule is None else {f"{newest} is not signed"})
        begun = {one.cut for one in pipeline.seen if isinstance(one, BaseWritten)}
        assert (3 in begun) is (rule is not None)
        found = await windows(Store(pipeline.area), "log", pipeline.points())
        assert found.windows[-1].last.closed.cut == 4


async def test_bases_are_written_when_they_are_due_and_only_then():
    pipeline = Pipeline()
    await followed(pipeline, cuts=2)
    pipeline.seen.clear()
    writer = pipeline.base_writer()
    assert await writer.write_if_due() is False
    pipeline.clock.move(86_400)
    pipeline.publish(segment("next-day"))
    await pipeline.cut()
    await pipeline.follow()
    assert await writer.write_if_due() is True
    assert await writer.write_if_due() is False
    (written,) = [one for one in pipeline.seen if isinstance(one, BaseWritten)]
    assert written.rows == 7


async def test_a_target_that_stands_writes_no_base():
    """Its cut is behind its history's end: a base of it would begin a window with a hole."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=1)
    for day in (1, 2):
        pipeline.publish(segment(f"day-{day}"))
        await pipeline.cut(move_s=86_400)
        await pipeline.follow()
    cuts = await pipeline.history().cuts(Offset(0), (await pipeline.history().span()).end)
    restorer = pipeline.restorer()
    point = ToOffset(offset=cuts[-2].offset)
    plan = await restorer.plan(point, datasource=None, adopt=False)
    await restorer.execute(plan, accept_gaps=False)
    assert await pipeline.base_writer().write_if_due() is False


async def test_a_history_that_ends_before_its_targets_cut_is_named():
    pipeline = Pipeline()
    offsets = await followed(pipeline)
    del pipeline.area.files[max(n for n in pipeline.area.files if n.startswith(HISTORY))]
    found = await pipeline.verifier().verify(Level.EXISTS)
    (finding,) = found.findings
    assert f"the target is at offset {offsets[-1]}, and its store keeps history up to" in finding


async def test_a_base_that_does_not_add_up_is_neither_written_nor_read():
    pipeline = Pipeline()
    await followed(pipeline, cuts=2)
    cut = await pipeline.history().find(Latest())
    other = replace(cut, closed=replace(cut.closed, digest=Digest(1)))
    with pytest.raises(CorruptionError, match="does not add up to cut"):
        await pipeline.archivist().write_base(other)
    assert manifest_name("log", cut.offset) not in pipeline.area.files

    base = await pipeline.archivist().write_base(cut)
    archive = ArchivedLog(Store(pipeline.area), "log")
    strict = History(archive, source=SOURCE, workers=InPlaceWorkers(), bases=archive)
    files, name = pipeline.area.files, manifest_name("log", cut.offset)
    files[name] = manifest(replace(base, rows=base.rows + 1))
    with pytest.raises(CorruptionError, match="does not add up to its cut"):
        await fold(strict, cut.offset, Recorded())

    archive = ArchivedLog(Store(pipeline.area), "log")
    strict = History(archive, source=SOURCE, workers=InPlaceWorkers(), bases=archive)
    first, *others = base.parts
    files[name] = manifest(replace(base, parts=(replace(first, sha256="0" * 64), *others)))
    with pytest.raises(CorruptionError, match="not the file that its manifest names"):
        await fold(strict, cut.offset, Recorded())


async def test_a_base_whose_files_an_expiry_takes_is_not_finished(monkeypatch: pytest.MonkeyPatch):
    pipeline = Pipeline()
    await followed(pipeline, cuts=2)
    cut, replace_ = await pipeline.history().find(Latest()), pipeline.area.replace

    async def take_away(name: str, data: bytes) -> None:
        await replace_(name, data)
        if name.startswith(BASES):
            await pipeline.area.delete(name)

    monkeypatch.setattr(pipeline.area, "replace", take_away)
    with pytest.raises(TransientError, match="an expiry is running"):
        await pipeline.archivist().write_base(cut)
    assert manifest_name("log", cut.offset) not in pipeline.area.files


async def test_a_restore_forward_begins_a_new_window():
    """The cuts in between were never copied, so they are not said to be restorable."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=2)
    for name in ("x", "y"):
        pipeline.publish(segment(name))
        await pipeline.cut()
    restorer = pipeline.restorer()
    plan = await restorer.plan(Latest(), datasource=None, adopt=False)
    await restorer.execute(plan, accept_gaps=False)
    found = (await windows(Store(pipeline.area), "log", pipeline.points())).windows
    assert [(w.first.closed.cut, w.last.closed.cut) for w in found] == [(1, 2), (4, 4)]
    with pytest.raises(GapError, match="hole"):
        await alone(pipeline).find(ToOffset(offset=Offset(found[1].first.offset - 1)))


def test_a_pause_of_a_source_at_rest_leaves_no_hole():
    """Idle cuts that a paused target has not applied need no bytes of their own."""

    async def within() -> None:
        pipeline = Pipeline()
        await followed(pipeline, cuts=2)
        restorer = pipeline.restorer()
        plan = await restorer.plan(Latest(), datasource=None, adopt=False, pause=True)
        await restorer.execute(plan, accept_gaps=False)
        for _ in range(3):
            await asyncio.sleep(3601)
            assert await pipeline.watcher.poll()
        pipeline.publish(segment("after"))
        await pipeline.cut()
        pipeline.applier = pipeline.new_applier(resume=True)
        await pipeline.follow()
        (window,) = (await windows(Store(pipeline.area), "log", pipeline.points())).windows
        assert (window.first.closed.cut, window.last.closed.cut) == (1, 6)
        history = alone(pipeline)
        for cut in await history.cuts(window.first.offset, window.last.offset):
            assert (await fold(history, cut.offset, Recorded())).digest == cut.closed.digest

    in_virtual_time(within())


async def test_a_base_of_the_next_cut_is_no_hole():
    """Each cut is restorable, also where a release before this one began the history anew."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=2)
    pipeline.publish(segment("next"))
    await pipeline.cut()
    await pipeline.archivist().write_base(await pipeline.history().find(Latest()))
    (window,) = (await windows(Store(pipeline.area), "log", pipeline.points())).windows
    assert (window.first.closed.cut, window.last.closed.cut) == (1, 3)


async def test_history_is_there_before_the_checkpoint(monkeypatch: pytest.MonkeyPatch):
    """A crash between the two repeats a cut; it never leaves a checkpoint without history."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=1)
    pipeline.publish(segment("late"))
    await pipeline.cut()
    reached = (await pipeline.target.state(SOURCE)).checkpoint

    async def fails(*_: object) -> bool:
        raise RuntimeError("power is gone")

    monkeypatch.setattr(MemoryArea, "create", fails)
    with pytest.raises(RuntimeError):
        await pipeline.follow()
    assert (await pipeline.target.state(SOURCE)).checkpoint == reached


async def test_gaps_of_an_attempt_without_a_checkpoint_stay_with_their_history(
    monkeypatch: pytest.MonkeyPatch,
):
    """The base of a cut is there, its checkpoint never was: what it lacks is known all the same."""
    pipeline = Pipeline()
    lost = segment("lost")
    pipeline.publish(lost, segment("a"))
    pipeline.source_storage.stored.pop(place_of(lost))
    await pipeline.cut()

    async def fails(*_: object, **__: object) -> None:
        raise RuntimeError("power is gone")

    with monkeypatch.context() as power:
        power.setattr(Executor, "commit", fails)
        with pytest.raises(RuntimeError):
            await pipeline.follow()
    del pipeline.source.rows[key_of(lost)]
    await pipeline.cut()
    pipeline.applier = pipeline.new_applier()
    await pipeline.follow()
    found = await windows(Store(pipeline.area), "log", pipeline.points())
    first, last = found.windows[0].first, found.windows[-1].last
    assert [gap.at(first.offset) for gap in found.gaps] == [True]
    assert [gap.at(last.offset) for gap in found.gaps] == [False]
    assert pipeline.gaps() == []


async def test_who_was_shut_out_takes_no_gap_away_from_its_successor():
    """A restore to an earlier cut, too, leaves what is known of later ones: their history stays."""
    pipeline = Pipeline()
    pipeline.publish(segment("a"), segment("b"))
    await pipeline.cut()
    early = await pipeline.history().find(Latest())
    old, new = pipeline.archivist(), pipeline.archivist()
    await old.cover(early, (), whole=True)
    pipeline.publish(segment("lost"))
    await pipeline.cut()
    late = await pipeline.history().find(Latest())
    lost = replace(golden_gap(), opened=Offset(late.offset - 1), closed=None)
    await new.cover(late, [lost], whole=True)
    mine = replace(lost, key="another", opened=Offset(early.offset - 1))
    await old.cover(early, [mine], whole=True)
    assert set(await archived_gaps(pipeline.area, "log")) == {mine, lost}


class KilledArea(MemoryArea):
    """Dies at one of its calls, before or after the deed; so does a process at SIGKILL."""

    def __init__(self, at: int, *, after: bool) -> None:
        super().__init__()
        self.at, self.after, self.calls = at, after, 0

    async def _die(self, *, after: bool) -> None:
        self.calls += not after
        if self.calls == self.at and self.after is after:
            self.at = -1
            raise PowerGoneError

    async def create(self, name: str, data: bytes) -> bool:
        await self._die(after=False)
        created = await super().create(name, data)
        await self._die(after=True)
        return created

    async def replace(self, name: str, data: bytes) -> None:
        await self._die(after=False)
        await super().replace(name, data)
        await self._die(after=True)

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        await self._die(after=False)
        return await super().get(name, bytes_max=bytes_max)

    async def delete(self, name: str) -> None:
        await self._die(after=False)
        await super().delete(name)
        await self._die(after=True)

    async def names(self, prefix: str) -> list[str]:
        await self._die(after=False)
        return [*await super().names(prefix)]


class PowerGoneError(Exception):
    """Nothing in the product knows it."""


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_step_of_its_history_a_target_goes_on(after: bool):
    """Of files, bases and what they are about: the next start goes on, and every cut is there."""
    deaths = 0
    with remembering():
        for at in range(1, 200):
            pipeline = Pipeline(file_bytes_max=2_500)
            pipeline.area = area = KilledArea(at, after=after)
            pipeline.applier = pipeline.new_applier()
            deaths += await lived(pipeline)
            area.at = -1
            await every_cut_is_there(pipeline)
            if area.calls < at:
                break
    assert deaths >= 10


async def every_cut_is_there(pipeline: Pipeline) -> None:
    assert not await damages(pipeline)
    assert not (await windows(Store(pipeline.area), "log", pipeline.points())).faults
    for cut in await alone(pipeline).cuts(Offset(0), Offset(10_000)):
        ledger = await fold(alone(pipeline), cut.offset, Recorded())
        assert ledger.digest == cut.closed.digest
    assert len(pipeline.target_ids()) == 12


async def lived(pipeline: Pipeline) -> int:
    """Four cuts, a base of a day later, and as many starts as it takes; return the deaths."""
    deaths = 0
    for number in range(4):
        pipeline.publish(*[segment(f"s{number}-{i}") for i in range(3)])
        await pipeline.cut(move_s=40_000)
        while True:
            try:
                await pipeline.follow()
                await pipeline.base_writer().write_if_due()
                break
            except (PowerGoneError, ExceptionGroup):  # in a group, where more was fetched at once
                deaths += 1
                pipeline.applier = pipeline.new_applier()
    return deaths


async def test_a_restore_of_one_datasource_says_nothing_of_the_whole_cut():
    """Only its bytes were asked for: the store must not promise the others' for that cut."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=2)
    before = (await windows(Store(pipeline.area), "log", pipeline.points())).windows
    wanted, other = segment("wanted"), segment("other")
    pipeline.publish(wanted, other)
    await pipeline.cut()
    restorer = pipeline.restorer()
    plan = await restorer.plan(Latest(), datasource=wanted.datasource, adopt=False)
    await restorer.execute(plan, accept_gaps=False)
    assert place_of(wanted) in pipeline.target_storage.stored
    assert place_of(other) not in pipeline.target_storage.stored
    assert (await windows(Store(pipeline.area), "log", pipeline.points())).windows == before
    assert (await pipeline.verifier().verify(Level.EXISTS)).is_good


BEYOND = 9 * 10**18
"""An offset that no log has."""


@pytest.mark.parametrize(
    "name",
    [
        manifest_name("log", Offset(BEYOND)),
        history_name("log", Offset(BEYOND), Offset(BEYOND + 1)),
        history_name("log", Offset(0), Offset(BEYOND)),
        manifest_name("log", Offset(13)),
    ],
)
async def test_a_name_alone_says_nothing_of_how_far_the_history_goes(name: str):
    """One byte under such a name ended a history, without a word, or wrote a base for each cut."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=3)
    pipeline.area.files[name] = b"x"
    pipeline.applier = pipeline.new_applier()
    bases = {one for one in pipeline.area.files if one.startswith(BASES)}
    for number in range(3):
        pipeline.publish(segment(f"late{number}"))
        await pipeline.cut()
        await pipeline.follow()
    assert [one for one in pipeline.seen if isinstance(one, ArchiveDamaged)]
    found = await windows(Store(pipeline.area), "log", pipeline.points())
    assert found.windows[-1].last.closed.cut == 6
    assert {one for one in pipeline.area.files if one.startswith(BASES)} == bases


async def test_very_many_such_names_are_not_all_read():
    """Nested ones hide one another: each must not take a listing or a call of its own."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=3)
    for number in range(3000):
        name = history_name("log", Offset(0), Offset(BEYOND + number))
        pipeline.area.files[name] = b"x"
        pipeline.area.files[manifest_name("log", Offset(BEYOND + number))] = b"x"
    pipeline.applier = pipeline.new_applier()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    await pipeline.follow()
    told = [one for one in pipeline.seen if isinstance(one, ArchiveDamaged)]
    assert 0 < len(told) <= 4 * FALSE_NAMES_MAX
    bases = [one for one in told if BASES in one.reason]
    assert 0 < len(bases) <= 4 * FALSE_BASES_MAX
    assert pipeline.applied_cuts()[-1] == 4
    written = [one for one in pipeline.area.files if pipeline.area.files[one] != b"x"]
    assert history_name("log", Offset(12), Offset(14)) in written


async def test_a_history_that_goes_on_after_the_log_is_named():
    """The log has lost records, and what would be written now is another history of them."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=3)
    header = Header(kind=HISTORY, source=SOURCE, log_id="log", start=Offset(BEYOND), previous=None)
    record = Record(Offset(BEYOND), TIME, "cut.closed", b'{"type":"cut.closed"}')
    data, _ = pack(header, [record_line(record)], end=Offset(BEYOND + 1), last=None)
    name = history_name("log", Offset(BEYOND), Offset(BEYOND + 1))
    pipeline.area.files[name] = data
    pipeline.applier = pipeline.new_applier()
    pipeline.publish(segment("late"))
    await pipeline.cut()
    with pytest.raises(LogCutShortError, match=rf"goes on to offset {BEYOND + 1}, and the log"):
        await pipeline.follow()
    del pipeline.area.files[name]
    await pipeline.follow()
    assert pipeline.applied_cuts()[-1] == 4


async def test_a_cut_is_looked_for_beyond_a_hole_of_any_width():
    pipeline = Pipeline()
    await followed(pipeline, cuts=1)
    closing = pipeline.log._stored.records[-1].data
    for name in [one for one in pipeline.area.files if one.startswith((HISTORY, BASES))]:
        del pipeline.area.files[name]
    for at, type_, event in [(0, "x", b'{"type":"x"}'), (BEYOND, "cut.closed", closing)]:
        record = Record(Offset(at), TIME, type_, event)
        header = Header(kind=HISTORY, source=SOURCE, log_id="log", start=Offset(at), previous=None)
        data, _ = pack(header, [record_line(record)], end=Offset(at + 1), last=None)
        pipeline.area.files[history_name("log", Offset(at), Offset(at + 1))] = data
    async with asyncio.timeout(10):
        with pytest.raises(GapError, match=rf"can restore from offset {BEYOND}"):
            await alone(pipeline).find(ToTime(time=TIME - timedelta(days=900)))
