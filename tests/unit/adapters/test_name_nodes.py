"""Of several name nodes the one that is active now is asked, whatever the others do."""

import pytest

from replicator.adapters.hdfs import HdfsAddress, HdfsFolder, hdfs_reader
from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.transfer import http_session
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import ConfigError, TransientError, UnreadableObjectError
from replicator.model.load_spec import Location
from tests.contract.storages import SIZES, Origin, checked, hdfs_target
from tests.servers.name_nodes import ACTIVE, STATES, NameNodes, name_nodes

ROOT = "/druid/segments"
SMALL, LARGE = Location("a/0/index.zip"), Location("b/0/index.zip")
FILES = {SMALL: {"": b"few"}, LARGE: {"": b"z" * ((5 << 20) + 1)}}


def address(nodes: NameNodes) -> HdfsAddress:
    return HdfsAddress(urls=tuple(nodes.urls), root=ROOT, request_timeout_s=0.3)


async def everything(nodes: NameNodes) -> None:
    """Every operation of a target and of a source."""
    async with hdfs_target(address(nodes)) as target:
        await target.probe()
        for place, files in FILES.items():
            stored = await target.put(place, await Origin(files).copy_source(place))
            assert stored.objects == checked(files)
            assert await target.receipt(place) is not None
            await target.write_receipt(place, stored)
        listed = [
            one.location async for page in target.stored_locations(lambda _: False) for one in page
        ]
        assert sorted(listed) == sorted(FILES)
        reader = hdfs_reader(address(nodes), pace=Pace(), sizes=SIZES, clock=SystemClock())
        for place, files in FILES.items():
            assert await reader.check(place) == checked(files)
        await reader.close()
        for place in FILES:
            await target.remove(place)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("first", [True, False])
async def test_a_node_that_is_not_at_work_is_passed_over(state: str, first: bool):
    states = [state, ACTIVE] if first else [ACTIVE, state]
    async with name_nodes(*states) as nodes:
        await everything(nodes)
        assert nodes.files == {}


@pytest.mark.parametrize("state", ["standby", "hangs", "safe mode"])
async def test_another_node_takes_over_in_the_middle(state: str):
    async with name_nodes(ACTIVE, "standby") as nodes, hdfs_target(address(nodes)) as target:
        for n, place in enumerate(FILES):
            await target.put(place, await Origin(FILES[place]).copy_source(place))
            nodes.states.reverse()
            nodes.states[n % 2] = state
            assert await target.receipt(place) is not None
            assert await target.check(place) == checked(FILES[place])
            nodes.states[n % 2] = "standby"


async def test_nobody_is_active():
    async with (
        name_nodes("standby", "dead", "starting") as nodes,
        hdfs_target(address(nodes)) as target,
    ):
        with pytest.raises(TransientError, match="no name node is active") as told:
            await target.receipt(SMALL)
    for url, word in zip(nodes.urls, ("StandbyException", "connect", "Retriable"), strict=True):
        assert url in str(told.value)
        assert word in str(told.value)


async def test_a_refusal_is_not_asked_of_the_next():
    """Who may not do it at one may not at another; and what one says is what counts."""
    async with name_nodes(ACTIVE, ACTIVE) as nodes, hdfs_target(address(nodes)) as target:
        assert await target.receipt(SMALL) is None
        nodes.states[0] = "standby"
        assert await target.receipt(SMALL) is None
    async with name_nodes("denied", ACTIVE) as nodes, hdfs_target(address(nodes)) as target:
        with pytest.raises(ConfigError, match="AccessControlException"):
            await target.receipt(SMALL)


@pytest.mark.parametrize(
    "place",
    [
        "ftp://data.example:9864/webhdfs/v1/a",
        "http://druid:secret@data.example:9864/webhdfs/v1/a",
        "http://data.example:9864/latest/meta-data",
        "http://data.example:9864/webhdfs/v1/../../latest",
        "file:///webhdfs/v1/a",
        "/webhdfs/v1/a",
    ],
)
async def test_a_name_node_sends_to_data_nodes_and_nowhere_else(place: str):
    async with name_nodes(ACTIVE) as nodes, hdfs_target(address(nodes)) as target:
        nodes.sends_to = place
        with pytest.raises(ConfigError, match="is no data node's address") as refused:
            await target.put(SMALL, await Origin(FILES[SMALL]).copy_source(SMALL))
        assert "secret" not in str(refused.value)
        assert "webhdfs" in refused.value.hint


@pytest.mark.parametrize("host", ["data..example", f"{'d' * 64}.example", "data.example:65536"])
async def test_a_data_node_whose_name_is_none_cannot_be_reached(host: str):
    async with name_nodes(ACTIVE) as nodes, hdfs_target(address(nodes)) as target:
        nodes.sends_to = f"http://{host}/webhdfs/v1/a"
        with pytest.raises(TransientError, match="cannot write"):
            await target.put(SMALL, await Origin(FILES[SMALL]).copy_source(SMALL))


async def test_bytes_do_not_leave_tls_on_the_way_to_a_data_node():
    async with name_nodes(ACTIVE) as nodes:
        encrypted = HdfsAddress(urls=("https://name.example:9871",), root=ROOT)
        folder = HdfsFolder(encrypted, Pace(), SystemClock())
        plain = f"{nodes.urls[0]}/webhdfs/v1/a"
        with pytest.raises(ConfigError) as refused:
            folder._data_node(plain, "read")
        assert refused.value.hint.startswith("it must be https, ")
        assert folder._data_node(plain.replace("http:", "https:"), "read")


async def test_a_listing_without_an_end_is_one_folders_trouble(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(http_session, "ANSWER_BYTES_MAX", 10_000)
    async with name_nodes(ACTIVE) as nodes:
        nodes.files = {f"{ROOT}/a/{n}/file": b"" for n in range(1000)}
        folder = HdfsFolder(address(nodes), Pace(), SystemClock())
        with pytest.raises(UnreadableObjectError, match=r"127\.0\.0\.1 answered with more"):
            async for _ in folder.pages("a"):
                pass
        await folder.close()
