"""A poll ends at once if the source's binary log says that nothing was written."""

from collections.abc import Callable

import pytest

from replicator.adapters.memory.versions import MemoryVersions
from replicator.model.observation import Why
from replicator.model.row import Kind
from replicator.model.versions import BinlogPosition, broken
from tests.builders import segment
from tests.unit.services.replication.test_row_versions import A, B, C, Watched, other

DAY_S = 86_400.0


async def watched() -> Watched:
    """A watcher that has looked once at a source with a binary log."""
    pipeline = Watched()
    pipeline.versions.binlog = True
    pipeline.publish(A, B, C)
    await pipeline.cut()
    pipeline.seen.clear()
    return pipeline


async def test_nothing_is_read_while_nothing_is_written():
    pipeline = await watched()
    for _ in range(3):
        assert not await pipeline.watcher.poll()
        last = pipeline.last_poll()
        assert (last.full, last.scanned_rows, last.fingerprinted_rows) == (False, 0, 0)
    assert pipeline.whys() == []


async def test_what_was_written_is_found_and_then_nothing_is_read_again():
    pipeline = await watched()
    pipeline.publish(other(B), segment("new"))
    pipeline.kill(C)
    await pipeline.poll_and_compare()
    assert pipeline.last_poll().full
    assert pipeline.whys() == [Why.WRITTEN]
    assert not await pipeline.watcher.poll()
    assert pipeline.last_poll().scanned_rows == 0


async def test_an_idle_source_still_gets_cuts(monkeypatch: pytest.MonkeyPatch):
    """Each is a restore point, and shows that the watcher is well."""
    pipeline = await watched()
    monkeypatch.setattr(pipeline.watcher._writer, "_closed_at_s", -float("inf"))
    assert await pipeline.watcher.poll()
    assert pipeline.last_poll().scanned_rows == 0


def began_anew(versions: MemoryVersions) -> None:
    versions.next = 1


def another_server(versions: MemoryVersions) -> None:
    versions.server["start"] = "2"


def another_file(versions: MemoryVersions) -> None:
    versions.files[Kind.SEGMENT] += 100


def row_versions(versions: MemoryVersions) -> None:
    versions.binlog = False


@pytest.mark.parametrize("doubt", [began_anew, another_server, another_file, row_versions])
async def test_a_position_that_continues_nothing_is_no_answer(
    doubt: Callable[[MemoryVersions], None],
):
    pipeline = await watched()
    doubt(pipeline.versions)
    assert not await pipeline.watcher.poll()
    assert pipeline.last_poll().full
    assert pipeline.whys() == [Why.BROKEN]


async def test_an_audit_finds_what_the_binary_log_does_not_tell_and_ends_the_trust():
    """An administrator's session with `sql_log_bin = 0`."""
    pipeline = await watched()
    pipeline.versions.late = 0
    pipeline.publish(other(A))
    assert not await pipeline.watcher.poll()
    assert pipeline.missed() == 0
    pipeline.let_pass(DAY_S)
    await pipeline.poll_and_compare()
    assert pipeline.missed() == 1
    assert pipeline.whys() == [Why.DUE]
    assert not await pipeline.watcher.poll()
    assert pipeline.last_poll().full, "the binary log is not believed any more"
    assert pipeline.whys() == [Why.DUE, Why.DISTRUSTED]


async def test_an_audit_that_finds_nothing_goes_on_by_the_binary_log():
    pipeline = await watched()
    pipeline.let_pass(DAY_S)
    assert not await pipeline.watcher.poll()
    assert (pipeline.last_poll().full, pipeline.missed()) == (True, 0)
    assert not await pipeline.watcher.poll()
    assert pipeline.last_poll().scanned_rows == 0


def position(**changes: object) -> BinlogPosition:
    fields: dict[str, object] = {
        "server": {"host": "a"},
        "database": "druid",
        "file": "binlog.000001",
        "position": 100,
        "gtids": {0: 7},
    }
    return BinlogPosition(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("later", "reason"),
    [
        (position(position=200, gtids={0: 9, 1: 1}), None),
        (position(server={"host": "b"}), "the server's host was a and is b"),
        (position(database="other"), "the server's database was druid and is other"),
        (position(file="binlog.000002"), "the server's binary log was binlog.000001 and is"),
        (position(position=99), "begins anew"),
        (position(position=200, gtids={0: 6}), "begins anew"),
        (position(position=200, gtids={1: 8}), "begins anew"),
    ],
)
def test_a_later_position_continues_an_earlier_one_or_says_why_not(
    later: BinlogPosition, reason: str | None
):
    found = broken(position(), later)
    assert found is None if reason is None else reason in (found or "")
