"""Two real Druid clusters and a real Kafka: what the source answered, the target answers.

One history is enough for all that a disaster needs of it: it is followed, its moments come back,
the standby takes over, and at last a bucket elsewhere is all that is left.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from replicator.adapters.druid.broker import DruidBroker
from replicator.adapters.druid.request import DruidLogin
from tests.acceptance.acts import DAYS, Act, Acts, Stream
from tests.acceptance.druids import (
    Cluster,
    Moment,
    User,
    cluster,
    kafka_log,
    s3_settings,
    write_config,
)
from tests.acceptance.failover import (
    a_killed_source_loses_no_message,
    killed_on_the_standby_alone,
    read_again_without_the_offsets,
)
from tests.acceptance.region_lost import (
    has_reached,
    moments_come_back_from_the_bucket_alone,
    with_a_vault,
)
from tests.rings import IS_LONG, times
from tests.servers.kafka import Kafka
from tests.servers.postgresql import Postgresql
from tests.servers.process import Processes
from tests.servers.stores import S3

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("jvms"),  # two JVMs at a time are enough
]


async def test_a_history_is_followed_comes_back_is_taken_over_and_outlives_its_region(
    postgresql: Postgresql, kafka_broker: Kafka, s3: S3, druid_folder: Path, forks: Processes
):
    """The source's segments are unpacked, in a folder; the standby reads them packed, from S3."""
    folder, rng = druid_folder, Random(33)
    vault = s3_settings(s3, bucket(folder, "vault"))
    async with followed_by(postgresql, kafka_broker, s3, folder, forks) as (user, control):
        with_a_vault(user.config, vault)
        checked = await user.types("check")
        assert checked.code == 0, checked.out
        await created(user)
        stream = Stream(kafka_broker, f"{folder.name}.clicks")
        moments = await followed(user, Acts(user.source.client, rng, stream), rng)
        now = await restored(user, moments, rng)
        await restored_beside_the_live_one(user, moments[0], now)
        if IS_LONG:  # a cluster more
            await restored_into_a_third(user, moments, folder, postgresql, rng)
        await a_killed_source_loses_no_message(user, stream)
        await killed_on_the_standby_alone(user, s3.root / user.standby.name)
        if control is not None:
            await read_again_without_the_offsets(user, control, stream)
        await moments_come_back_from_the_bucket_alone(
            user, moments, vault, postgresql, kafka_broker, s3
        )


def bucket(folder: Path, name: str) -> str:
    return f"{folder.name}-{name}".replace("_", "-").lower()


@asynccontextmanager
async def followed_by(
    postgresql: Postgresql, broker: Kafka, s3: S3, folder: Path, forks: Processes
) -> AsyncIterator[tuple[User, Cluster | None]]:
    """Run a source and its standby, in the long run a third cluster that follows as well."""
    async with AsyncExitStack() as stack:
        source, standby = await both_started(
            stack,
            cluster("source", folder, postgresql),
            cluster(bucket(folder, "standby"), folder, postgresql, in_s3=s3, standby=True),
        )
        targets, control = {"standby": standby}, None
        if IS_LONG:
            control = targets["control"] = await stack.enter_async_context(
                cluster("control", folder, postgresql, standby=True)
            )
        config = await write_config(folder, source, targets, kafka_log(broker, folder.name))
        yield User(config, forks, source, standby), control


async def both_started(
    stack: AsyncExitStack, *clusters: AbstractAsyncContextManager[Cluster]
) -> list[Cluster]:
    """Start them beside each other: a JVM waits for much before it answers."""
    async with asyncio.TaskGroup() as group:
        entering = [group.create_task(stack.enter_async_context(one)) for one in clusters]
    return [one.result() for one in entering]


async def created(user: User) -> None:
    """The tables that Druid made are taken as they are, and its settings are looked at."""
    done = await user.does("target", "create", "standby")
    assert not done["tables_made"]
    assert [row["name"] for row in done["settings"] if not row["good"]] == []
    live = f"targets.standby.druid.coordinator_url={user.source.druid.url('coordinator')}"
    wrong = await user.types("target", "create", "standby", "--set", live, "--json")
    assert wrong.code == 3
    names = [row["name"] for row in wrong.result["settings"] if not row["good"]]
    assert "druid.coordinator.kill.datasource.on" in names


async def followed(user: User, acts: Acts, rng: Random) -> list[Moment]:
    """Let things happen while the product follows; the standby answers like the source at once."""
    running = await user.starts("run")
    order: list[Act] = [acts.mark_unused, acts.mark_used, acts.append, acts.overwrite_a_part]
    more: list[Act] = [acts.compact, acts.stream, acts.drop_by_rule, acts.kill, acts.stream]
    rng.shuffle(more)
    moments = []
    for act in (acts.ingest, acts.ingest_another, *order, *more, acts.drop_everything):
        await act()
        moment = await user.moment(act.__name__)
        await user.standby_is(moment)
        moments.append(moment)
    await has_reached(user, moments[-1])
    ended = await running.terminate()
    assert ended.code == 0, ended.err
    for target in ("standby", "vault"):
        proof = await user.types("verify", target, "--level", "checksum")
        assert proof.code == 0, proof.out + proof.err
    await is_served_in_full(user, moments[-1])
    await both_answer_alike(user)
    assert len({json.dumps(moment.answers) for moment in moments}) > len(moments) - 3
    return moments


async def is_served_in_full(user: User, moment: Moment) -> None:
    """The standby's Broker says so, as a drill asks it, and counts the rows that it answers."""
    broker = DruidBroker([user.standby.druid.url("broker")], DruidLogin(), query_timeout_s=60)
    async with asyncio.timeout(60):
        while (found := await broker.availability(len(moment.used))).unread:
            await asyncio.sleep(0.3)
    assert (found.unserved, found.unknown) == (0, 0)
    rows = {name: sum(day["rows"] for day in days) for name, (days, *_) in moment.answers.items()}
    assert found.rows == rows


async def both_answer_alike(user: User) -> None:
    """The Brokers agree; an interval that only one of them serves is named, and nothing else."""
    ask = ("verify", "standby", "--level", "query", "--set", "queries.repeats_max=3", "--json")
    alike = await user.types(*ask, "--set", "queries.repeat_wait_s=2")
    assert alike.code == 0, alike.out + alike.err
    answers = {row["datasource"]: row for row in alike.result["queries"]["datasources"]}
    assert answers["wiki"]["good"] >= 3
    assert answers["wiki"]["columns_unmeasured"] == []
    await user.standby.client.mark_unused("wiki", f"{DAYS[2]}/{DAYS[3]}")
    async with asyncio.timeout(60):
        while any(id_.startswith(f"wiki_{DAYS[2]}") for id_ in await user.standby.client.served()):
            await asyncio.sleep(0.3)
    differ = await user.types(*ask, "--set", "queries.repeat_wait_s=0.2")
    assert differ.code == 9, differ.out + differ.err
    (one,) = differ.result["queries"]["disagreements"]
    found = one["datasource"], one["verdict"], one["interval"].partition("T")[0]
    assert found == ("wiki", "only_in_source", DAYS[2])
    await user.standby.client.mark_used("wiki", f"{DAYS[2]}/{DAYS[3]}")


async def restored(user: User, moments: list[Moment], rng: Random) -> Moment:
    """In place, forwards and backwards, by offset and by time; return where it ended."""
    chosen = rng.sample(moments, times(4, len(moments)))
    assert len(moments) >= 10
    for number, moment in enumerate(chosen):
        point = ("--to-offset", str(moment.offset)) if number % 2 else ("--to-time", moment.time)
        done = await user.does("restore", "standby", *point, "--yes")
        assert done["done"], done
        await user.standby_is(moment)
    return chosen[-1]


async def restored_beside_the_live_one(user: User, then: Moment, now: Moment) -> None:
    """By another name it answers as it did then, and the live one as it does now."""
    point = ("--to-offset", str(then.offset), "--yes")
    done = await user.does("restore", "standby", "--rename", "wiki=wiki then", *point)
    assert (done["objects_copied"], done["missing"]) == (0, [])
    beside = {id_.replace("wiki_", "wiki then_", 1) for id_ in then.used if id_[:5] == "wiki_"}
    await user.standby.client.settled(wanted=now.used | beside)
    await user.standby.answers_like({**now.answers, "wiki then": then.answers["wiki"]})
    proof = await user.types("verify", "standby", "--level", "checksum")
    assert proof.code == 0, proof.out + proof.err
    await user.does("restore", "standby", "--forget-renamed", "wiki then", "--yes")
    await user.standby_is(now)


async def restored_into_a_third(
    user: User, moments: list[Moment], folder: Path, postgresql: Postgresql, rng: Random
) -> None:
    """The source's bytes are away as well: the standby's own are enough."""
    (folder / "source").rename(folder / "away")
    async with cluster("third", folder, postgresql, standby=True) as third:
        clusters: dict[str, Cluster] = {"standby": user.standby, "third": third}
        log = kafka_log_of(user.config)
        config = await write_config(folder, user.source, clusters, log, name="third.yaml")
        for number, moment in enumerate(rng.sample(moments, 3)):
            adopt = ["--adopt"] if number == 0 else []
            other = User(config, user.processes, user.source, user.standby)
            done = await other.does(
                *("restore", "standby", "--into", "third", "--to-offset", str(moment.offset)),
                *("--yes", *adopt),
            )
            assert done["done"], done
            await other.standby_is(moment, cluster=third)
    (folder / "away").rename(folder / "source")


def kafka_log_of(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(config.read_text())["log"]
    return found
