"""What `Area` promises, wherever a target keeps our files."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, cast

import pytest

from replicator.adapters.local.storage import LocalDeepStorage
from replicator.errors import CorruptionError, NotFoundError, TransientError
from replicator.model.load_spec import Location
from replicator.ports import Area
from tests.contract.storages import ALL, Origin, Store

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.xdist_group("stores")


class _HasArea(Protocol):
    def area(self) -> Area: ...


@pytest.fixture(params=ALL)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    async with ALL[request.param](tmp_path, request) as made:
        yield made


@pytest.fixture
def area(store: Store) -> Area:
    return cast("_HasArea", store.storage).area()


async def test_a_file_is_created_once(area: Area):
    assert await area.create("history/log/1.zst", b"first") is True
    assert await area.create("history/log/1.zst", b"second") is False
    assert await area.get("history/log/1.zst") == b"first"


async def test_of_two_at_once_one_creates_it(area: Area):
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(area.create("state/1", b"%d" % i)) for i in range(5)]
    made = [task.result() for task in tasks]
    assert made.count(True) == 1
    assert await area.get("state/1") == b"%d" % made.index(True)


async def test_a_file_is_replaced(area: Area):
    await area.replace("gaps/log.json", b"one")
    await area.replace("gaps/log.json", b"other")
    assert await area.get("gaps/log.json") == b"other"


async def test_names_are_sorted_and_below_a_prefix(area: Area):
    names = ["bases/log/2/manifest.json", "bases/log/10/a", "bases/logs/1", "history/log/1"]
    for name in names:
        await area.create(name, b"x")
    assert await area.names("bases/log/") == ["bases/log/10/a", "bases/log/2/manifest.json"]
    assert await area.names("bases/log") == [
        "bases/log/10/a", "bases/log/2/manifest.json", "bases/logs/1",
    ]  # fmt: skip
    assert await area.names("points/") == []


async def test_what_is_deleted_is_gone_and_may_be_gone_already(area: Area):
    await area.create("points/a.json", b"x")
    await area.delete("points/a.json")
    await area.delete("points/a.json")
    assert await area.names("points/") == []
    with pytest.raises(NotFoundError, match=r"a\.json"):
        await area.get("points/a.json")
    assert await area.create("points/a.json", b"again") is True


async def test_what_is_locked_for_longer_stays_as_it_is(area: Area):
    """Where there are locks tests/integration/test_s3_object_lock.py looks at them."""
    await area.create("history/log/1.zst", b"first")
    await area.extend("history/log/1.zst", datetime(2100, 1, 1, tzinfo=UTC))
    assert await area.get("history/log/1.zst") == b"first"


async def test_large_files_come_back_whole(area: Area):
    data = bytes(range(256)) * 80_000  # 20 MB
    await area.create("history/log/large.zst", data)
    assert await area.get("history/log/large.zst", bytes_max=len(data)) == data


async def test_what_is_too_large_is_not_read(area: Area):
    await area.create("history/log/large.zst", bytes(1001))
    assert len(await area.get("history/log/large.zst", bytes_max=1001)) == 1001
    with pytest.raises(CorruptionError, match=r"large\.zst has 1001 bytes, more than the 1000"):
        await area.get("history/log/large.zst", bytes_max=1000)


async def test_no_segment_can_be_stored_among_our_files(store: Store):
    with pytest.raises(Exception, match="_replicator"):
        await store.storage.put(
            Location("_replicator/history/index.zip"),
            await Origin({"": b"x"}).copy_source(Location("a/index.zip")),
        )


async def test_a_root_that_is_gone_is_no_empty_history(tmp_path: Path):
    area = LocalDeepStorage(tmp_path / "gone").area()
    with pytest.raises(TransientError, match="is it mounted"):
        await area.names("history/")
    with pytest.raises(TransientError, match="is it mounted"):
        await area.get("history/log/1.zst")
    with pytest.raises(TransientError, match="is it mounted"):
        await area.create("history/log/1.zst", b"first")
