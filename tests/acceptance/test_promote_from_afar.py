"""Standbys that are promoted over the API, on real Druids: every message once in the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.acts import Acts, Stream
from tests.acceptance.api import Api, offered, served
from tests.acceptance.druids import User, cluster, kafka_log, write_config
from tests.acceptance.failover import counts_are, read_but_not_published
from tests.servers.kafka import Kafka
from tests.servers.postgresql import Postgresql
from tests.servers.process import Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.long,
    pytest.mark.real,
    pytest.mark.timeout(1_800),
    pytest.mark.xdist_group("jvms"),
]


@asynccontextmanager
async def followed(
    postgresql: Postgresql, broker: Kafka, folder: Path, forks: Processes
) -> AsyncIterator[tuple[User, Stream, Api]]:
    """Run a source with a stream, its standby, and a `run` that offers the API."""
    async with AsyncExitStack() as stack:
        source = await stack.enter_async_context(cluster("source", folder, postgresql))
        standby = await stack.enter_async_context(
            cluster("standby", folder, postgresql, standby=True)
        )
        log = kafka_log(broker, folder.name)
        config = await write_config(folder, source, {"standby": standby}, log)
        user = User(config, forks, source, standby)
        offered(user, folder=str(folder / "control"))
        api = await stack.enter_async_context(served(user, "run"))
        stream = Stream(broker, f"{folder.name}.clicks")
        await Acts(source.client, Random(1), stream).stream()
        await user.standby_is(await user.moment("published"))
        yield user, stream, api


async def test_a_promotion_is_refused_while_the_source_moves_and_loses_nothing(
    postgresql: Postgresql, kafka_broker: Kafka, druid_folder: Path, forks: Processes
):
    asked = {"verb": "promote", "target": "standby"}
    async with followed(postgresql, kafka_broker, druid_folder, forks) as (user, stream, api):
        await read_but_not_published(user.source, stream)
        status, problem = await api.ask("POST", "/v1/plans?wait=60", asked)
        assert (status, "clicks are not suspended" in problem["detail"]) == (422, True), problem
        await user.source.client.supervisor("clicks", "suspend")
        async with asyncio.timeout(240):
            while (answer := await api.ask("POST", "/v1/plans?wait=60", asked))[0] == 422:
                assert "have not ended" in answer[1]["detail"], answer
                await asyncio.sleep(0.5)
        _, plan = answer
        offsets = [{"id": "clicks", "offsets": {"0": str(stream.sent)}}]
        assert plan["document"]["supervisors"] == offsets
        done = await api.run(plan)
        assert (done["state"], done["exit_code"]) == ("done", 0), done
        result = done["document"]["result"]
        assert (result["done"], result["supervisors"], result["lost_events"]) == (True, offsets, 0)
        await counts_are(user.standby, stream.sent)
        user.source.druid.kill()
        await stream.send(30)
        await counts_are(user.standby, stream.sent)
        await it_is_promoted(api)


async def test_a_failover_whose_source_was_killed_reads_every_message_once(
    postgresql: Postgresql, kafka_broker: Kafka, druid_folder: Path, forks: Processes
):
    async with followed(postgresql, kafka_broker, druid_folder, forks) as (user, stream, api):
        published = stream.sent
        await read_but_not_published(user.source, stream)
        user.source.druid.kill()
        await stream.send(20)
        plan = await api.plan(verb="failover", target="standby")
        assert plan["document"]["supervisors"] == [
            {"id": "clicks", "offsets": {"0": str(published)}}
        ]
        done = await api.run(plan)
        assert (done["state"], done["exit_code"]) == ("done", 0), done
        assert done["document"]["result"]["lost_events"] == 0
        await counts_are(user.standby, stream.sent)
        await stream.send(20)
        await counts_are(user.standby, stream.sent)
        again = await api.run(await api.plan(verb="failover", target="standby"))
        assert (again["state"], again["exit_code"]) == ("done", 0), "it is done already"
        await it_is_promoted(api)


async def it_is_promoted(api: Api) -> None:
    """Whoever looks sees it at once, and nothing else is done to it."""
    _, found = await api.ask("GET", "/v1/status")
    (status,) = found["result"]["targets"]
    assert status["promoted"]
    _, job = await api.ask("POST", "/v1/jobs?wait=60", {"verb": "resume", "target": "standby"})
    ended = await api.ended(job)
    assert (ended["state"], ended["exit_code"]) == ("failed", 4), ended
    assert "was promoted" in ended["why"]
