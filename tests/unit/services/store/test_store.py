"""A store's files are asked for once an operation: each list and each read is paid for."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from replicator.adapters.memory.area import MemoryArea, SortedFiles
from replicator.errors import CorruptionError, GapError
from replicator.model.event import Offset
from replicator.model.plans.restore_point import Latest, ToOffset
from replicator.model.store.archive import (
    BASES,
    HISTORY,
    base_of,
    history_span,
    manifest,
    manifest_name,
)
from replicator.model.store.proof import Level
from replicator.ports import DOCUMENT_BYTES_MAX
from replicator.services.store import store as store_module
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Store
from replicator.services.store.windows import windows
from tests.unit.pipeline import Pipeline
from tests.unit.services.drills.test_drills import filled
from tests.unit.services.retention.test_expiry import story

LOG = "log"


class Asked(tuple[int, int, int]):
    """How many lists, reads of history and bases, and reads of other files."""

    __slots__ = ()

    def __le__(self, most: tuple[int, ...]) -> bool:
        return all(mine <= theirs for mine, theirs in zip(self, most, strict=True))


class CountedArea(MemoryArea):
    """Counts what is asked of it."""

    def __init__(self, files: SortedFiles) -> None:
        super().__init__()
        self.files = files
        self.lists = Counter[str]()
        self.reads = Counter[str]()

    async def names(self, prefix: str) -> Sequence[str]:
        self.lists[prefix] += 1
        return await super().names(prefix)

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        self.reads[name] += 1
        return await super().get(name, bytes_max=bytes_max)

    def asked(self) -> "Asked":
        """Return what was asked since the last time."""
        files = [name for name in self.reads if name.startswith((HISTORY, BASES))]
        big = sum(self.reads[name] for name in files)
        found = Asked((self.lists.total(), big, self.reads.total() - big))
        self.lists.clear()
        self.reads.clear()
        return found


async def counted() -> tuple[Pipeline, CountedArea, list[Offset]]:
    """Five days of history with a base of each, and one hold."""
    pipeline, days = await story()
    await pipeline.holds().create("kept", ToOffset(offset=days[2]), reason="r", until=None)
    pipeline.area = CountedArea(pipeline.area.files)
    return pipeline, pipeline.area, days


async def test_each_file_is_asked_for_once_an_operation():
    """Lists, reads of history and bases, other reads; before files were shared as written below."""
    pipeline, area, _ = await counted()
    assert sum(name.startswith((HISTORY, BASES)) for name in area.files) == 14
    store = Store(area)
    plan = await pipeline.planner(store).plan(timedelta(days=2), storage=True)
    assert max(area.reads.values()) == 1
    assert area.asked() <= (6, 13, 2)  # 32, 19, 5, and the store's id
    expired = await pipeline.expirer(store).carry_out(plan, orphans=False)
    assert expired.locations == 1
    assert area.asked() <= (5, 0, 3)  # 25, 6, 5, and the store's id at each look at the target
    store = Store(area)
    assert (await windows(store, LOG, pipeline.points(store))).windows
    assert area.asked() <= (4, 2, 5)  # 7, 2, 6, and what the history is about
    await pipeline.verifier().verify(Level.EXISTS)
    assert area.asked() <= (8, 7, 6)  # and each base, holds, its own id
    await pipeline.verifier().verify(Level.CHECKSUM)
    assert area.asked() <= (8, 12, 6)  # what it is about


async def test_a_drill_lists_the_store_once_for_its_windows_and_once_for_its_history():
    """Lists, reads of history and bases, other reads; before, each question listed both folders."""
    drilling = await filled()
    area = drilling.pipeline.area = CountedArea(drilling.pipeline.area.files)
    assert (await drilling.drill(Latest())).is_good
    assert area.lists[f"{HISTORY}/{LOG}/"] == area.lists[f"{BASES}/{LOG}/"] == 2
    assert area.asked() <= (8, 4, 2)  # 32, 4, 1, and what it is about


async def test_one_listing_that_is_kept_is_made_anew_when_a_file_is_gone():
    _, area, days = await counted()
    archive = ArchivedLog(Store(area), LOG)
    archive.fix()
    end = (await archive.span()).end
    gone = [name for name in area.files if name.startswith(HISTORY) and _covers(name, days[3])]
    for name in (*gone, manifest_name(LOG, days[-1])):
        del area.files[name]
    assert ((await archive.span()).end, await archive.offsets()) == (end, days)
    with pytest.raises(GapError):
        await archive.read(days[3], records_max=1)
    with pytest.raises(CorruptionError, match="is missing"):
        await archive.base(days[-1])
    assert await archive.offsets() == days[:-1]


def _covers(name: str, offset: Offset) -> bool:
    start, end = history_span(name) or (Offset(0), Offset(0))
    return start <= offset < end


async def test_a_look_is_never_answered_from_memory():
    _, area, days = await counted()
    archive = ArchivedLog(Store(area), LOG)
    assert await archive.offsets() == days
    del area.files[manifest_name(LOG, days[-1])]
    assert await archive.offsets() == days[:-1]
    assert days[-1] not in (await Store(area).listing()).offsets(LOG)


async def test_a_base_that_was_written_again_and_cut_otherwise_is_read_as_it_is_now():
    pipeline, area, days = await counted()
    store, cut = Store(area), days[2]
    archive = ArchivedLog(store, LOG)
    before = await archive.read_base(cut, Offset(0), records_max=1_000)
    base = await archive.base(cut)
    for name in [name for name in area.files if name.startswith(f"{BASES}/{LOG}/{cut:020}/")]:
        del area.files[name]
    pipeline.file_bytes_max = 1  # one record a file
    await pipeline.archivist().write_base(base.cut)
    assert len((await ArchivedLog(Store(area), LOG).base(cut)).parts) > len(base.parts)
    assert await archive.read_base(cut, Offset(0), records_max=1_000) == before
    store.forget(manifest_name(LOG, cut))  # as if there had been no room for it
    assert await ArchivedLog(store, LOG).read_base(cut, Offset(0), records_max=1_000) == before


async def test_a_part_that_its_manifest_does_not_name_is_refused():
    _, area, days = await counted()
    name = manifest_name(LOG, days[2])
    base = base_of(name, area.files[name])
    wrong = tuple(replace(part, sha256="0" * 64) for part in base.parts)
    area.files[name] = manifest(replace(base, parts=wrong))
    with pytest.raises(CorruptionError, match="its manifest names"):
        await ArchivedLog(Store(area), LOG).read_base(days[2], Offset(0), records_max=1)


async def test_a_manifest_of_more_files_than_there_are_is_not_read(
    monkeypatch: pytest.MonkeyPatch,
):
    """Each look would take a second for it: whoever writes some of them stops `run`."""
    monkeypatch.setattr(store_module, "MANIFEST_HEAD_BYTES_MAX", 1 << 10)
    _, area, days = await counted()
    name = manifest_name(LOG, days[2])
    base, sound = base_of(name, area.files[name]), area.files[name]
    area.files[name] = manifest(replace(base, parts=base.parts * 20))
    archive = ArchivedLog(Store(area), LOG)
    await archive.refresh()
    for _ in range(2):
        _, faults = await archive.windows_from(days[2])
        assert [f"{name} has " in fault for fault in faults] == [True]
    assert area.lists[f"{BASES}/{LOG}/"] == 2, "it is listed anew once, as it may have been late"
    area.files[name] = sound
    assert await archive.base(days[2]) == base


async def test_a_proof_believes_nothing_that_was_read_before():
    _, area, days = await counted()
    archive = ArchivedLog(Store(area), LOG)
    assert not await archive.damages()
    part = next(n for n in area.files if n.startswith(f"{BASES}/{LOG}/{days[3]:020}/0"))
    area.files[part] = area.files[part][:-9]
    assert [part in fault for fault in await archive.damages()] == [True]


async def test_what_is_kept_in_memory_is_bounded():
    _, area, _ = await counted()
    names = [name for name in area.files if name.startswith(HISTORY)]
    assert len(names) > 3
    for most, left in ((0, 2), (1 << 20, len(names))):
        store = Store(area, cache_bytes_max=most)
        for name in names:
            store.unpacked(name, area.files[name])
        assert [n for n in names if store.known(n) is not None] == names[-left:]


async def test_manifests_that_name_very_many_files_are_not_all_kept(
    monkeypatch: pytest.MonkeyPatch,
):
    """Whoever writes to a store can write a thousand of them, of fifty megabytes of memory each."""
    monkeypatch.setattr(store_module, "KEPT_PARTS_MAX", 10)
    _, area, days = await counted()
    store = Store(area)
    for name in [manifest_name(LOG, day) for day in days]:
        base = base_of(name, area.files[name])
        area.files[name] = manifest(replace(base, parts=base.parts[:1] * 8))
        await store.base(name, parts_max=8)
    assert len(store._bases) == 1
    assert store._parts == 8
    store.forget()
    assert store._parts == 0
    found, _ = await ArchivedLog(store, LOG).windows()
    assert all(window.base.parts == () for window in found)
