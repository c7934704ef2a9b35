"""Workers give what the work gives, in order, wherever it is done; and end, whatever happens."""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from pathlib import Path

import pytest
import yaml

from replicator import config
from replicator.adapters.machine.workers import ProcessWorkers
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.app.wiring.storages import layout, source_layout
from replicator.errors import ConfigError, CorruptionError, TransientError
from replicator.model.druid.load_rules import LoadRules
from replicator.model.event import Offset, Record
from replicator.model.log.reading import (
    AttemptEvents,
    CutClosing,
    Mapped,
    Reading,
    Recorded,
    Scope,
    read,
)
from replicator.model.log.row_mapping import RowMapping
from replicator.model.row import TABLES
from replicator.ports import Workers
from tests.builders import (
    ONE_OF_EACH,
    ROOT,
    changed,
    cut_closed,
    envelope,
    record,
    removed,
    segment,
)
from tests.servers.tied import tied

ALL: list[Workers] = [
    InPlaceWorkers(),
    ProcessWorkers(1),
    ProcessWorkers(2, records_alone_max=0),
    ProcessWorkers(2, records_alone_max=5),
]
TWO = ProcessWorkers(2, records_alone_max=0)
WORK = partial(read, source=envelope().source, rule=Recorded())


def rows(first: int, count: int) -> list[Record]:
    return [
        record(changed(segment(partition=number)), offset=number)
        for number in range(first, first + count)
    ]


async def consume(workers: Workers, batches: AsyncIterator[Sequence[Record]]) -> None:
    async with workers.each(WORK, batches) as readings:
        async for _ in readings:
            pass


async def each(
    workers: Workers, batches: Iterable[Sequence[Record]], taken: list[int] | None = None
) -> list[Reading]:
    async def given() -> AsyncIterator[Sequence[Record]]:
        for number, batch in enumerate(batches):
            if taken is not None:
                taken.append(number)
            yield batch

    async with workers.each(WORK, given()) as readings:
        return [reading async for reading in readings]


def said(readings: Sequence[Reading]) -> list[object]:
    """Readings as values that can be compared, parts of one attempt kept apart by batch."""
    return [
        (part.keys, part.marks, part.removed, part.offsets, part.come, part.gone)
        if isinstance(part, AttemptEvents)
        else part
        for reading in readings
        for part in reading.parts
    ]


def children() -> set[int]:
    """Pids of this process's own workers that have not ended."""
    return {int(path.parent.name) for path in Path("/proc").glob("[0-9]*/stat") if is_ours(path)}


def is_ours(stat: Path) -> bool:
    try:
        state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        command = stat.with_name("cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
        return False
    return state != "Z" and int(parent) == os.getpid() and b"serve()" in command


@pytest.mark.parametrize("workers", ALL)
async def test_results_come_in_the_order_of_the_batches(workers: Workers):
    batches = [rows(10 * number, 3) for number in range(8)]
    batches[5] += [record(removed(), offset=55), record(cut_closed(), offset=56)]

    readings = await each(workers, batches)

    assert said(readings) == said([WORK(batch) for batch in batches])
    assert [reading.last for reading in readings] == [batch[-1].offset for batch in batches]
    assert isinstance(readings[5].parts[-1], CutClosing)
    assert not children()


@pytest.mark.parametrize("workers", ALL)
async def test_what_the_work_raises_is_raised_here_with_its_words(workers: Workers):
    """An offset that cannot be read is named, and what to do about it, on whichever core."""
    bad = Record(offset=Offset(4711), appended_at=rows(0, 1)[0].appended_at, type="x", data=b"{")

    with pytest.raises(CorruptionError, match="offset 4711") as found:
        await each(workers, [rows(0, 3), [bad], rows(5, 3)])
    assert "restore the log from a copy" in found.value.hint
    assert not children()


@pytest.mark.parametrize("workers", ALL)
async def test_a_batch_that_cannot_be_read_is_the_callers_to_see(workers: Workers):
    async def given() -> AsyncIterator[Sequence[Record]]:
        yield rows(0, 3)
        raise TransientError("the log is away")

    with pytest.raises(TransientError, match="the log is away"):
        await consume(workers, given())
    assert not children()


async def test_a_configured_rule_goes_to_a_worker_and_counts_there_as_it_does_here(tmp_path: Path):
    """With storages of every kind and renamed tiers, as a configuration gives them."""
    rule = Mapped(mapping=configured(tmp_path), scope=Scope())
    rows_of_all = [record(changed(row), offset=n) for n, row in enumerate(ONE_OF_EACH.values())]
    work = partial(read, source=envelope().source, rule=rule)

    async def given() -> AsyncIterator[Sequence[Record]]:
        yield rows_of_all

    async with TWO.each(work, given()) as readings:
        assert said([reading async for reading in readings]) == said([work(rows_of_all)])


def configured(folder: Path) -> RowMapping:
    google = {"type": "google", "bucket": "archive"}
    hdfs = {"type": "hdfs", "urls": ["http://nn:9870"], "filesystem": "hdfs://nn", "root": "/d"}
    target = {
        "metadata": {"type": "postgresql", "url": "postgresql://druid@db2/druid"},
        "deep_storage": {"type": "s3", "bucket": "standby"},
        "load_rules": {"tiers": {"hot": "_default_tier"}},
    }
    source = {
        "name": "prod",
        "metadata": {"type": "postgresql", "url": "postgresql://druid@db1/druid"},
        "deep_storage": {"type": "local", "root": str(folder), "root_in_load_spec": ROOT},
        "other_deep_storages": {"archive": google, "hadoop": hdfs},
    }
    log = {"type": "sqlite", "path": str(folder / "log")}
    path = folder / "replicator.yaml"
    path.write_text(yaml.safe_dump({"source": source, "log": log, "targets": {"standby": target}}))
    settings = config.load(path, {})
    standby = settings.targets["standby"]
    assert settings.source is not None
    return RowMapping(
        source=source_layout(settings.watched),
        target=layout(standby.deep_storage),
        config_names=standby.config_names,
        columns={kind: frozenset(table.columns) for kind, table in TABLES.items()},
        load_rules=LoadRules(tiers=standby.load_rules.tiers),
    )


async def test_another_source_is_refused_by_a_worker_too():
    async def given() -> AsyncIterator[Sequence[Record]]:
        yield rows(0, 3)

    work = partial(read, source="another", rule=Recorded())
    with pytest.raises(ConfigError, match="'another'"):
        async with TWO.each(work, given()) as readings:
            _ = [reading async for reading in readings]


async def test_few_records_start_no_process():
    """The start of a process costs more than a short history."""
    workers = ProcessWorkers(2, records_alone_max=9)
    seen: list[set[int]] = []

    async def given() -> AsyncIterator[Sequence[Record]]:
        for number in range(5):
            seen.append(children())
            yield rows(number, 3)

    async with workers.each(WORK, given()) as readings:
        assert len([reading async for reading in readings]) == 5
    assert [len(pids) for pids in seen] == [0, 0, 0, 0, 2]


async def test_only_a_few_batches_are_read_ahead():
    taken: list[int] = []

    async def given() -> AsyncIterator[Sequence[Record]]:
        for number in range(50):
            taken.append(number)
            yield rows(number, 1)

    async with TWO.each(WORK, given()) as readings:
        await anext(readings)
        assert len(taken) == 4


async def test_a_killed_worker_is_told_and_leaves_nothing():
    """The kernel kills what takes too much memory: the same call may go well later."""

    async def given() -> AsyncIterator[Sequence[Record]]:
        killed: set[int] = set()
        async for batch in batches_for_ever():
            yield batch
            if killed:  # once: what was killed may be gone between a second look and its kill
                continue
            killed = children()
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    with pytest.raises(TransientError, match="killed by signal 9") as found:
        await consume(TWO, given())
    assert "log_workers" in found.value.hint
    assert not children()


async def test_a_cancelled_reader_leaves_no_process():
    started = asyncio.Event()

    async def consume() -> None:
        async with TWO.each(WORK, batches_for_ever()) as readings:
            async for _ in readings:
                started.set()

    task = asyncio.create_task(consume())
    await started.wait()
    assert len(children()) == 2
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not children()


async def batches_for_ever() -> AsyncIterator[Sequence[Record]]:
    batch = rows(0, 3)
    while True:
        yield batch


OWNER = """
import asyncio, sys
from tests.contract.test_workers import TWO, WORK, batches_for_ever, children

async def main():
    async with TWO.each(WORK, batches_for_ever()) as readings:
        await anext(readings)
        print(*children(), flush=True)
        async for _ in readings:
            pass

asyncio.run(main())
"""


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_owner_leaves_no_worker(sent: signal.Signals):
    """Workers end with their input, so nothing that the owner does or fails to do keeps them."""
    with subprocess.Popen(
        tied(sys.executable, "-c", OWNER),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    ) as owner:
        try:
            assert owner.stdout is not None
            pids = [int(pid) for pid in owner.stdout.readline().split()]
            assert len(pids) == 2
            assert owner.pid not in {os.getpgid(pid) for pid in pids}, "Ctrl-C would reach a worker"
            handles = [os.pidfd_open(pid) for pid in pids]

            os.killpg(owner.pid, sent)  # as a terminal does it
            _, said_last = owner.communicate(timeout=30)
        finally:
            owner.kill()

    for handle in handles:
        assert ended(handle)
    assert owner.returncode != 0
    assert "in serve" not in said_last, "a worker's traceback"


def ended(handle: int) -> bool:
    """Wait for a process that is not our child."""
    try:
        return bool(select.select([handle], [], [], 30)[0])
    finally:
        os.close(handle)
