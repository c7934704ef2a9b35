"""Small files of a history become larger ones, and no reader ever loses or doubles a cut."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import cast

import cramjam
import orjson
import pytest

from replicator.adapters.memory.area import MemoryArea, SortedFiles
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.adapters.signing.area import SignedArea
from replicator.app.wiring.pipeline import merges
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import S3StorageSettings
from replicator.config.clusters.signing import SigningSettings
from replicator.errors import ConfigError, CorruptionError, RefusedError, ReplicatorError
from replicator.model.event import ClosedCut, Offset
from replicator.model.log.reading import Recorded
from replicator.model.observation import HistoryMerged
from replicator.model.observed.faults import ArchiveDamaged, Waiting
from replicator.model.operations.signature import split
from replicator.model.plans.restore_point import ToOffset
from replicator.model.store import archive
from replicator.model.store.archive import (
    HISTORY,
    Header,
    history_name,
    history_span,
    is_merged,
    merge,
    merged_name,
    pack,
    record_line,
    unpack,
    unpacked_lines,
)
from replicator.ports import DOCUMENT_BYTES_MAX
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.files import spanned, without_doubles
from replicator.services.store.merger import MergeLimits, Merger, groups
from replicator.services.store.store import Store
from replicator.services.store.windows import windows
from tests.builders import segment
from tests.rings import times
from tests.unit.adapters.test_signing import OURS
from tests.unit.adapters.test_signing import rule as signing_rule
from tests.unit.pipeline import SOURCE, Pipeline
from tests.unit.services.store.test_archive import (
    LOG,
    KilledArea,
    PowerGoneError,
    alone,
    followed,
    golden_cut,
    golden_file,
    golden_records,
)
from tests.wiring import history_settings

GOLDEN = Path(__file__).parents[3] / "schemas" / "golden" / "archive-v2"


def merger(pipeline: Pipeline, *, files: int = 3, bytes_max: int = 1 << 20) -> Merger:
    limits = MergeLimits(files=files, bytes_max=bytes_max, stay_s=0.0)
    return Merger(Store(pipeline.area), limits=limits, observer=pipeline.seen.append)


def history(pipeline: Pipeline) -> list[str]:
    return sorted(name for name in pipeline.area.files if name.startswith(HISTORY))


async def merged_twice(pipeline: Pipeline, **limits: int) -> None:
    """Merge, and delete at the next look what was merged."""
    one = merger(pipeline, **limits)
    await one.merge("log")
    await one.merge("log")


async def require_whole(pipeline: Pipeline, cuts: Sequence[ClosedCut]) -> None:
    """Every cut is there once, adds up, and nothing is damaged."""
    read = alone(pipeline)
    found = await read.cuts(Offset(0), Offset(10_000))
    assert [cut.offset for cut in found] == [cut.offset for cut in cuts]
    for cut in found:
        assert (await fold(read, cut.offset, Recorded())).digest == cut.closed.digest
    assert await ArchivedLog(Store(pipeline.area), "log").damages() == []


async def kept(pipeline: Pipeline) -> list[ClosedCut]:
    return list(await alone(pipeline).cuts(Offset(0), Offset(10_000)))


# ------------------------------------------------------------------------------------ the format


def two_files() -> list[tuple[str, bytes]]:
    """The golden file, and one that follows it."""
    name, data = golden_file()
    first = unpack(name, data)
    header = Header(
        kind=HISTORY, source="prod", log_id=LOG, start=Offset(43), previous=first.footer.sha256
    )
    records = [one._replace(offset=Offset(one.offset + 3)) for one in first.records]
    cut = replace(golden_cut(), offset=Offset(45))
    lines = [record_line(record) for record in records]
    data_after, _ = pack(header, lines, end=Offset(46), last=cut)
    return [(name, data), (history_name(LOG, Offset(43), Offset(46)), data_after)]


def lines_of(files: Sequence[tuple[str, bytes]]) -> list[bytes]:
    return [unpacked_lines(name, data)[0] for name, data in files]


def test_the_golden_merged_file_is_read_by_this_release():
    """Its bytes were written by the release that made the format; they never change."""
    before, after = [unpack(name, data) for name, data in two_files()]
    name = merged_name(LOG, Offset(40), Offset(46))
    file = unpack(name, (GOLDEN / "merged.jsonl.zst").read_bytes())
    assert [*file.records] == [*before.records, *after.records]
    assert file.footer.last == after.footer.last
    assert file.footer.sha256 == after.footer.sha256, "what the next file names as `previous`"
    assert file.header.previous == before.header.previous
    assert list(file.parts) == [before, after]


def test_this_release_writes_what_the_golden_merged_file_says():
    name, data = merge(lines_of(two_files()))
    golden = (GOLDEN / "merged.jsonl.zst").read_bytes()
    assert unpacked_lines(name, data)[0] == unpacked_lines(name, golden)[0]
    assert is_merged(name)


def test_a_release_that_knows_only_the_first_format_says_so(monkeypatch: pytest.MonkeyPatch):
    """It says that before anything else, as its checks are those of a file in the first format."""
    name, data = merge(lines_of(two_files()))
    monkeypatch.setattr(archive, "_is_merged", lambda _: False)
    with pytest.raises(CorruptionError, match="it has format 2"):
        unpack(name, data)


def test_every_flipped_byte_of_a_merged_file_is_noticed():
    name, data = merge(lines_of(two_files()))
    whole = unpack(name, data)
    for at in range(0, len(data), 3):
        altered = bytearray(data)
        altered[at] ^= 1
        try:
            found = unpack(name, bytes(altered))
        except CorruptionError:
            continue
        assert found == whole, f"byte {at} changed what was read"


def test_a_merged_file_under_another_name_is_noticed():
    name, data = merge(lines_of(two_files()))
    for other in (history_name(LOG, Offset(40), Offset(46)), name.replace("46", "47")):
        with pytest.raises(CorruptionError, match="it is history/"):
            unpack(other, data)


def test_files_that_do_not_follow_one_another_are_not_merged():
    first, second = lines_of(two_files())
    other = lines_of([(two_files()[1][0], elsewhere())])
    for wrong in ([second, first], [first, first], [first, merged_lines()], [first, *other]):
        with pytest.raises(ValueError, match=r"chain is broken|format 2"):
            merge(wrong)


def elsewhere() -> bytes:
    """The second file as an archivist wrote it that knew of another first one."""
    name, data = two_files()[1]
    file = unpack(name, data)
    lines = [record_line(record) for record in file.records]
    header = replace(file.header, previous="ef" * 32)
    return pack(header, lines, end=file.footer.end, last=file.footer.last)[0]


def merged_lines() -> bytes:
    name, data = merge(lines_of(two_files()))
    return unpacked_lines(name, data)[0]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (b'"subject":"', b'"subject":"X', "its checksum is another"),
        (b'"start":43', b'"start":44', "its checksum is another"),
        (b'{"end":43', b'{"eng":43', "its checksum is another|has no end|records"),
    ],
)
def test_a_file_that_was_altered_before_it_was_merged_is_noticed(old: bytes, new: bytes, why: str):
    """The whole is right for its own checksum; each file in it has one of its own."""
    body = merged_lines().replace(old, new, 1)
    at = body.rstrip(b"\n").rfind(b"\n") + 1
    end = orjson.loads(body[at:])
    del end["sha256"]
    checksum = sha256(body[:at] + orjson.dumps(end)).hexdigest()
    body = body[:at] + orjson.dumps({**end, "sha256": checksum}) + b"\n"
    with pytest.raises(CorruptionError, match=why):
        unpack(merged_name(LOG, Offset(40), Offset(46)), bytes(cramjam.zstd.compress(body)))


# ----------------------------------------------------------------------------- what is merged


def spans(*ends: int, merged: tuple[int, ...] = ()) -> list[tuple[Offset, Offset, str]]:
    """Files that follow one another, each up to an offset."""
    found = []
    for start, end in pairwise([Offset(0), *map(Offset, ends)]):
        name = (merged_name if end in merged else history_name)(LOG, start, end)
        found.append((start, end, name))
    return found


def due(
    files: Sequence[tuple[Offset, Offset, str]], *bases: int, count: int = 3
) -> list[list[int]]:
    found = groups(files, frozenset(map(Offset, bases)), set(), count)
    return [[end for _, end, _ in group.files] for group in found]


def test_so_many_small_files_are_merged_and_the_rest_waits_for_more():
    assert due(spans(2, 4, 6, 8, 10, 12, 14)) == [[2, 4, 6], [8, 10, 12]]
    assert due(spans(2, 4)) == []


def test_a_group_ends_at_a_base_a_hole_and_a_file_that_is_not_small():
    assert due(spans(2, 4, 6, 8), 3) == [[2, 4]]
    assert due(spans(2, 4, 2000, 2002, 2004, 2006)) == [[2, 4], [2002, 2004, 2006]]
    assert due(spans(2, 4, 40, 42), count=9) == []
    assert due(spans(2, 4, 40, 42, merged=(40,)), count=9) == [[2, 4]]
    holed = [*spans(2, 4, 6)[:2], *spans(8, 10, 12)[1:]]
    assert due(holed, count=9) == [[2, 4]]


async def test_a_merged_history_reads_as_before_and_goes_on():
    pipeline = Pipeline()
    await followed(pipeline, cuts=8)
    cuts, before = await kept(pipeline), history(pipeline)
    one = merger(pipeline)
    await one.merge("log")
    assert {name for name in history(pipeline) if not is_merged(name)} == set(before)
    await require_whole(pipeline, cuts)  # both are there
    await one.merge("log")
    assert [is_merged(name) for name in history(pipeline)] == [False, True, True]
    await require_whole(pipeline, cuts)
    told = [seen for seen in pipeline.seen if isinstance(seen, HistoryMerged)]
    assert told == [
        HistoryMerged(small=6, merged=2, deleted=0),
        HistoryMerged(small=0, merged=0, deleted=6),
    ]
    pipeline.applier = pipeline.new_applier()  # knows nothing of what was written
    pipeline.publish(segment("later"))
    await pipeline.cut()
    await pipeline.follow()
    cuts = await kept(pipeline)
    assert len(cuts) == 9
    await require_whole(pipeline, cuts)
    found = await windows(Store(pipeline.area), "log", pipeline.points())
    assert [(one.first.offset, one.last.offset) for one in found.windows] == [
        (cuts[0].offset, cuts[-1].offset)
    ]
    assert not found.faults


async def test_the_chain_goes_through_merged_files():
    """The file after a merged one names the last file in it, as if nothing had been merged."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=5)
    applier = pipeline.applier
    await merged_twice(pipeline, files=4)
    pipeline.publish(segment("by-the-same"))
    await pipeline.cut()
    assert await applier.apply_next()
    pipeline.applier = pipeline.new_applier()
    pipeline.publish(segment("by-another"))
    await pipeline.cut()
    await pipeline.follow()
    await require_whole(pipeline, await kept(pipeline))
    merged = min(name for name in history(pipeline) if is_merged(name))
    gone = pipeline.area.files.pop(merged)
    assert await ArchivedLog(Store(pipeline.area), "log").damages()
    pipeline.area.files[merged] = gone
    await merged_twice(pipeline, files=2)
    await require_whole(pipeline, await kept(pipeline))


async def test_a_large_group_becomes_files_of_bounded_size():
    pipeline = Pipeline()
    await followed(pipeline, cuts=9)
    cuts = await kept(pipeline)
    size = max(len(unpacked_lines(n, pipeline.area.files[n])[0]) for n in history(pipeline))
    await merged_twice(pipeline, files=8, bytes_max=3 * size + 100)
    parts = [
        len(unpack(n, pipeline.area.files[n]).parts) for n in history(pipeline) if is_merged(n)
    ]
    assert parts == [3, 3], "two files wait for what comes"
    await require_whole(pipeline, cuts)


async def test_a_small_file_stays_as_long_as_a_listing_may_take():
    pipeline = Pipeline()
    await followed(pipeline, cuts=5)
    before = set(history(pipeline))
    limits = MergeLimits(files=3, bytes_max=1 << 20, stay_s=3600.0)
    one = Merger(Store(pipeline.area), limits=limits, observer=pipeline.seen.append)
    for _ in range(3):
        await one.merge("log")
    assert before < set(history(pipeline))


# ------------------------------------------------------------------------------ beside others


async def test_a_reader_with_an_older_listing_reads_everything_once():
    pipeline = Pipeline()
    await followed(pipeline, cuts=8)
    cuts = await kept(pipeline)
    read, archived = alone(pipeline), ArchivedLog(Store(pipeline.area), "log")
    await archived.refresh()
    (window, *_), _ = await archived.windows_from(Offset(0))
    await read.find(ToOffset(offset=cuts[0].offset))
    await merged_twice(pipeline, files=3)
    assert (await archived.last_cut(window)).offset == cuts[-1].offset
    found, at = list[Offset](), window.base.offset + 1
    while records := await archived.read(Offset(at), records_max=2):
        found += [record.offset for record in records]
        at = records[-1].offset + 1
    assert found == list(range(window.base.offset + 1, cuts[-1].offset + 1))
    assert (await fold(read, cuts[5].offset, Recorded())).digest == cuts[5].closed.digest


async def test_an_expiry_that_listed_before_reads_what_was_merged_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
):
    """A small file that is gone is no file without references: its bytes must stay."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=8)
    planner, look = pipeline.planner(), Store.listing

    async def listed(store: Store, log_id: str | None = None) -> object:
        found = await look(store, log_id)
        monkeypatch.setattr(Store, "listing", look)
        await merged_twice(pipeline, files=3)
        return found

    monkeypatch.setattr(Store, "listing", listed)
    plan = await planner.plan(timedelta(days=365), storage=True)
    assert any(is_merged(name) for name in history(pipeline))
    assert not len(plan.unreferenced)
    assert plan.storage is not None
    assert not plan.storage.orphans


async def test_two_that_merge_at_once_do_no_harm():
    pipeline = Pipeline()
    await followed(pipeline, cuts=10)
    cuts = await kept(pipeline)
    one, other = merger(pipeline, files=3), merger(pipeline, files=4)
    for _ in range(3):
        async with asyncio.TaskGroup() as group:
            group.create_task(one.merge("log"))
            group.create_task(other.merge("log"))
        await require_whole(pipeline, cuts)
    left = without_doubles(spanned(history(pipeline)))
    assert all(name in {n for _, _, n in left} for name in history(pipeline) if not is_merged(name))


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_any_step_no_cut_is_lost(after: bool):
    pipeline, deaths = Pipeline(), 0
    await followed(pipeline, cuts=6)
    cuts, files = await kept(pipeline), dict(pipeline.area.files)
    for at in range(1, 200):
        pipeline.area = area = KilledArea(at, after=after)
        area.files = SortedFiles(files)
        try:
            await merged_twice(pipeline, files=4)
        except (PowerGoneError, ExceptionGroup):
            deaths += 1
        done, area.at = area.calls < at, -1
        await require_whole(pipeline, cuts)
        await merged_twice(pipeline, files=4)
        await merged_twice(pipeline, files=4)
        await require_whole(pipeline, cuts)
        assert [is_merged(name) for name in history(pipeline)] == [False, True]
        if done:
            break
    assert deaths >= (2 if after else 10)


# ----------------------------------------------------------------------------------- damage


def alter(pipeline: Pipeline, name: str) -> None:
    data = bytearray(pipeline.area.files[name])
    data[len(data) // 2] ^= 1
    pipeline.area.files[name] = bytes(data)


async def test_an_altered_small_file_is_left_as_it_is():
    pipeline = Pipeline()
    await followed(pipeline, cuts=8)
    bad = history(pipeline)[3]
    alter(pipeline, bad)
    for _ in range(3):
        await merged_twice(pipeline, files=7)
    assert bad in history(pipeline)
    spans_ = [history_span(name) for name in history(pipeline) if is_merged(name)]
    assert spans_ == [(4, 16)]
    told = [seen.reason for seen in pipeline.seen if isinstance(seen, ArchiveDamaged)]
    assert len([reason for reason in told if bad in reason]) >= 1


async def test_an_altered_merged_file_is_made_up_of_the_small_ones_and_named():
    pipeline = Pipeline()
    await followed(pipeline, cuts=7)
    cuts = await kept(pipeline)
    await merger(pipeline, files=3).merge("log")
    merged = [name for name in history(pipeline) if is_merged(name)]
    for name in merged:
        alter(pipeline, name)
    await merged_twice(pipeline, files=3)  # the small ones are all there is
    assert len([name for name in history(pipeline) if not is_merged(name)]) == 6
    read = alone(pipeline)
    for cut in cuts:
        assert (await fold(read, cut.offset, Recorded())).digest == cut.closed.digest
    damages = await ArchivedLog(Store(pipeline.area), "log").damages()
    assert [any(name in one for one in damages) for name in merged] == [True, True]
    assert len(damages) == len(merged)


async def test_a_small_file_of_another_chain_is_not_deleted():
    """What follows it would name a file that no merged one holds."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=5)
    names = history(pipeline)
    files = [unpack(name, pipeline.area.files[name]) for name in names]
    await merged_twice(pipeline, files=4)
    header = replace(files[1].header, previous="ef" * 32)
    lines = [record_line(record) for record in files[1].records]
    data, _ = pack(header, lines, end=files[1].footer.end, last=files[1].footer.last)
    pipeline.area.files[names[1]] = data
    await merged_twice(pipeline, files=4)
    assert names[1] in history(pipeline)


class LockedArea(MemoryArea):
    """Refuses to delete, as a bucket does whose objects are locked, or whose role may not."""

    refusal: ReplicatorError = RefusedError("it is locked")

    async def delete(self, name: str) -> None:
        raise self.refusal


@pytest.mark.parametrize("refusal", [RefusedError("it is locked"), ConfigError("no permission")])
async def test_where_nothing_can_be_deleted_merging_ends_and_says_so_once(
    refusal: ReplicatorError,
):
    pipeline = Pipeline()
    await followed(pipeline, cuts=8)
    cuts, area = await kept(pipeline), LockedArea()
    area.files, area.refusal = pipeline.area.files, refusal
    pipeline.area = area
    one = merger(pipeline)
    for _ in range(4):
        await one.merge("log")
    assert one.is_stopped
    told = [seen for seen in pipeline.seen if isinstance(seen, Waiting) and "merge" in seen.what]
    assert [one.reason for one in told] == [str(refusal)]
    await require_whole(pipeline, cuts)


async def test_merged_files_are_signed_and_one_that_nobody_signed_is_not_believed():
    pipeline = Pipeline()
    plain = pipeline.area
    signed = SignedArea(plain, signing_rule())
    pipeline.area = cast("MemoryArea", signed)
    pipeline.applier = pipeline.new_applier()
    await followed(pipeline, cuts=7)
    before = list(await kept_signed(signed))
    limits = MergeLimits(files=3, bytes_max=1 << 20, stay_s=0.0)
    keyless = SignedArea(plain, signing_rule(None, OURS))
    one = Merger(Store(keyless), limits=limits, observer=pipeline.seen.append)
    await one.merge("log")
    assert one.is_stopped, "what it writes is refused by everybody"
    assert not [name for name in plain.files if is_merged(name)]
    two = Merger(Store(signed), limits=limits, observer=pipeline.seen.append)
    await two.merge("log")
    await two.merge("log")
    merged = [name for name in plain.files if is_merged(name)]
    assert len(merged) == 2
    assert list(await kept_signed(signed)) == before
    data = plain.files[merged[0]]
    plain.files[merged[0]] = split(merged[0], data)[0]
    with pytest.raises(CorruptionError, match="is not signed"):
        await kept_signed(signed)


async def kept_signed(area: SignedArea) -> Sequence[ClosedCut]:
    archived = ArchivedLog(Store(area), "log")
    read = History(archived, source=SOURCE, workers=InPlaceWorkers(), bases=archived)
    return await read.cuts(Offset(0), Offset(10_000))


# ------------------------------------------------------------------------- random histories


@pytest.mark.parametrize("seed", range(times(3, 60)))
async def test_whatever_happens_every_cut_is_there_once(seed: int):
    """Merged, killed, written by another, with bases in between, and expired: the same cuts."""
    rng, pipeline = Random(seed), Pipeline(file_bytes_max=1 << 20)
    await followed(pipeline, cuts=1)
    gone = Offset(0)
    for number in range(times(25, 60)):
        pipeline.publish(*[segment(f"r{number}-{i}") for i in range(rng.randint(1, 4))])
        await pipeline.cut(move_s=rng.choice([10.0, 40_000.0]))
        if rng.random() < 0.2:
            pipeline.applier = pipeline.new_applier()
        await pipeline.follow()
        if rng.random() < 0.1:
            await pipeline.base_writer().write_if_due()
        if rng.random() < 0.5:
            await killed_now_and_then(pipeline, rng)
        if rng.random() < 0.08:
            plan = await pipeline.planner().plan(timedelta(days=3), storage=True)
            await pipeline.expirer().carry_out(plan, orphans=False)
            gone = max(gone, plan.horizon)
        if rng.random() < 0.08:
            cut = rng.choice(await known(pipeline, gone))
            await pipeline.holds().create(
                f"h{number}", ToOffset(offset=cut.offset), reason="random", until=None
            )
    await merged_twice(pipeline, files=3)
    told = await pipeline.history(preferred=False).cuts(Offset(0), Offset(10_000))
    left = [cut for cut in told if cut.offset >= gone]
    assert [cut.offset for cut in await known(pipeline, gone)] == [cut.offset for cut in left]
    read = alone(pipeline)
    for cut in left:
        assert (await fold(read, cut.offset, Recorded())).digest == cut.closed.digest
    assert await ArchivedLog(Store(pipeline.area), "log").damages() == []
    assert [name for name in history(pipeline) if is_merged(name)]
    plan = await pipeline.planner().plan(timedelta(days=3), storage=True, orphans=True)
    assert plan.storage is not None
    assert not plan.storage.orphans


async def known(pipeline: Pipeline, horizon: Offset) -> list[ClosedCut]:
    """The cuts that the store alone restores."""
    found = await windows(Store(pipeline.area), "log", pipeline.points())
    cuts = await alone(pipeline).cuts(found.windows[0].first.offset, Offset(10_000))
    return [cut for cut in cuts if cut.offset >= horizon]


async def killed_now_and_then(pipeline: Pipeline, rng: Random) -> None:
    """Merge with random limits, and die at a random call of it or at none."""
    area = KilledArea(rng.randint(1, 60), after=rng.random() < 0.5)
    area.files, plain = pipeline.area.files, pipeline.area
    pipeline.area = area
    try:
        await merged_twice(
            pipeline, files=rng.randint(2, 6), bytes_max=rng.choice([5_000, 20_000, 1 << 20])
        )
    except (PowerGoneError, ExceptionGroup):
        pass
    pipeline.area = plain


# ------------------------------------------------------------------------------------ the wiring


def target_with(**settings: object) -> ConfiguredTarget:
    configured = Pipeline().configured()
    return replace(configured, settings=configured.settings.model_copy(update=settings))


def locked_bucket() -> S3StorageSettings:
    return S3StorageSettings.model_validate(
        {
            "type": "s3",
            "bucket": "b",
            "region": "eu-central-1",
            "object_lock": {"mode": "compliance"},
        }
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, True),
        ({"history": history_settings(merge_files=0)}, False),
        ({"history": history_settings(merge_files=1)}, False),
        ({"deep_storage": locked_bucket()}, False),
        ({"signing": SigningSettings(key_env="KEY")}, True),
        ({"signing": SigningSettings(trusted_keys=("x",))}, False),
        ({"signing": SigningSettings(key_env="KEY", unsigned="accept")}, False),
    ],
)
def test_nothing_is_merged_where_it_would_help_nobody(settings: dict[str, object], expected: bool):
    assert merges(target_with(**settings)) is expected


async def test_a_small_file_that_says_another_source_is_merged_with_none():
    """Somebody else wrote it: merging it with ours ended the process, with all targets."""
    pipeline = Pipeline()
    previous = None
    for at, source in enumerate([SOURCE, SOURCE, "other", SOURCE, SOURCE]):
        header = Header(
            kind=HISTORY, source=source, log_id="log", start=Offset(at), previous=previous
        )
        record = golden_records()[0]._replace(offset=Offset(at))
        data, footer = pack(header, [record_line(record)], end=Offset(at + 1), last=None)
        pipeline.area.files[history_name("log", Offset(at), Offset(at + 1))] = data
        previous = footer.sha256
    await merger(pipeline, files=5).merge("log")
    merged = [name for name in history(pipeline) if is_merged(name)]
    assert [history_span(name) for name in merged] == [(0, 2)]


class MeasuredArea(MemoryArea):
    """Remembers how many bytes were allowed at a time."""

    def __init__(self, files: SortedFiles) -> None:
        super().__init__()
        self.files, self.allowed = files, set[int]()

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        self.allowed.add(bytes_max)
        return await super().get(name, bytes_max=bytes_max)


@pytest.mark.parametrize("packed", [True, False])
async def test_what_is_too_large_to_be_merged_is_not_read_whole(*, packed: bool):
    """Many files are read at once: a store could give each of them the size of the largest."""
    pipeline = Pipeline()
    await followed(pipeline, cuts=5)
    names, bytes_max = history(pipeline), 10_000
    records = b'{"offset":0}' * bytes_max if packed else Random(1).randbytes(bytes_max + 1)
    pipeline.area.files[names[1]] = bytes(cramjam.zstd.compress(records)) if packed else records
    area = MeasuredArea(pipeline.area.files)
    limits = MergeLimits(files=2, bytes_max=bytes_max, stay_s=0.0)
    await Merger(Store(area), limits=limits, observer=pipeline.seen.append).merge("log")
    assert area.allowed >= {bytes_max}
    assert not any(isinstance(one, ArchiveDamaged) for one in pipeline.seen)
    assert names[1] in history(pipeline)
