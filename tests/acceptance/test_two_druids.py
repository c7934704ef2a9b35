"""Two real Druid clusters and a real Kafka: what the source answered, the target answers."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.acceptance.druids import Cluster, Moment, User, cluster, kafka_log, write_config
from tests.rings import IS_LONG, times
from tests.servers.druid import Client, Row, kafka_supervisor
from tests.servers.kafka import Kafka
from tests.servers.postgresql import Postgresql
from tests.servers.process import Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("jvms"),  # two JVMs at a time are enough
]

Act: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
DAYS = [f"2026-01-{day:02}" for day in range(1, 6)]


class Stream:
    """A Kafka topic of rows."""

    def __init__(self, broker: Kafka, topic: str) -> None:
        self.broker, self.topic, self.sent = broker, topic, 0

    async def make(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(self.topic, 1, 1)])
        await admin.close()

    async def send(self, count: int) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap)
        await producer.start()
        for _ in range(count):
            n = self.sent
            row = {"__time": f"{DAYS[n % 2]}T{n % 24:02}:00:00Z", "page": f"p{n % 7}", "n": n}
            await producer.send_and_wait(self.topic, json.dumps(row).encode())
            self.sent += 1
        await producer.stop()


class Acts:
    """What operators and jobs do to a Druid."""

    def __init__(self, client: Client, rng: Random, stream: Stream) -> None:
        self._client, self._rng, self._stream, self._n = client, rng, stream, 0

    def rows(self, *days: str, each: int = 20) -> list[Row]:
        found = []
        for day in days:
            for hour in range(each):
                self._n += 1
                page = f"page {self._rng.randrange(9)}"
                found.append({"__time": f"{day}T{hour:02}:00:00Z", "page": page, "n": self._n})
        return found

    async def ingest(self) -> None:
        await self._client.load("wiki", self.rows(*DAYS))

    async def ingest_another(self) -> None:
        await self._client.load("orders", self.rows(*DAYS[:3]))

    async def append(self) -> None:
        await self._client.load("wiki", self.rows(DAYS[1], DAYS[2], each=5), append=True)

    async def overwrite_a_part(self) -> None:
        interval = f"{DAYS[1]}/{DAYS[3]}"
        rows = self.rows(DAYS[1], DAYS[2], each=3)
        await self._client.load("wiki", rows, interval=interval)

    async def mark_unused(self) -> None:
        await self._client.mark_unused("wiki", f"{DAYS[0]}/{DAYS[1]}")

    async def mark_used(self) -> None:
        await self._client.mark_used("wiki", f"{DAYS[0]}/{DAYS[1]}")

    async def compact(self) -> None:
        await self._client.load("orders", self.rows(DAYS[0], each=4), append=True)
        await self._client.compact("orders", f"{DAYS[0]}/{DAYS[1]}")

    async def drop_by_rule(self) -> None:
        gone = {"type": "dropByInterval", "interval": f"{DAYS[4]}/2026-01-06"}
        stays = {"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}
        await self._client.rules("wiki", [gone, stays])
        async with asyncio.timeout(60):
            while any(id_.startswith(f"wiki_{DAYS[4]}") for id_ in await self._client.used()):
                await asyncio.sleep(0.3)

    async def kill(self) -> None:
        await self._client.mark_unused("wiki", f"{DAYS[3]}/{DAYS[4]}")
        await self._client.kill_unused("wiki", f"{DAYS[3]}/{DAYS[4]}")

    async def stream(self) -> None:
        if not self._stream.sent:
            await self._stream.make()
            spec = kafka_supervisor("clicks", self._stream.topic, self._stream.broker.bootstrap)
            await self._client.supervise(spec)
        await self._stream.send(40)
        await self._read()
        await self._client.hand_off("clicks")
        await self._published()

    async def _read(self) -> None:
        """Wait until the tasks have read everything."""
        async with asyncio.timeout(90):
            while True:
                found = await self._client.sql_or_nothing('SELECT COUNT(*) AS c FROM "clicks"')
                if found and found[0]["c"] == self._stream.sent:
                    return
                await asyncio.sleep(0.3)

    async def _published(self) -> None:
        async with asyncio.timeout(90):
            while True:
                found = await self._client.sql(
                    "SELECT SUM(num_rows) AS c FROM sys.segments"
                    " WHERE datasource = 'clicks' AND is_published = 1 AND is_realtime = 0"
                )
                if found and found[0]["c"] == self._stream.sent:
                    return
                await asyncio.sleep(0.3)

    async def drop_everything(self) -> None:
        """The accident."""
        await self._client.mark_unused("orders", "2026-01-01/2027-01-01")
        await self._client.kill_unused("orders", "2026-01-01/2027-01-01")


async def test_a_history_is_followed_and_every_chosen_moment_comes_back(
    postgresql: Postgresql, kafka_broker: Kafka, druid_folder: Path, forks: Processes
):
    folder = druid_folder
    rng = Random(33)
    async with (
        cluster("source", folder, postgresql) as source,
        cluster("standby", folder, postgresql, standby=True) as standby,
    ):
        config = await write_config(
            folder, source, {"standby": standby}, kafka_log(kafka_broker, folder.name)
        )
        user = User(config, forks, source, standby)
        assert (await user.types("check")).code == 0
        await created(user)
        stream = Stream(kafka_broker, f"{folder.name}.clicks")
        moments = await followed(user, Acts(source.client, rng, stream), rng)
        source.druid.kill()  # what comes now needs nothing of it but its bytes
        now = await restored(user, moments, rng)
        await restored_beside_the_live_one(user, moments[0], now)
        if IS_LONG:  # a cluster more
            await restored_into_a_third(user, moments, folder, postgresql, rng)


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
    ended = await running.terminate()
    assert ended.code == 0, ended.err
    proof = await user.types("verify", "standby", "--level", "checksum")
    assert proof.code == 0, proof.out + proof.err
    await both_answer_alike(user)
    assert len({json.dumps(moment.answers) for moment in moments}) > len(moments) - 3
    return moments


async def both_answer_alike(user: User) -> None:
    """The Brokers agree; an interval that only one of them serves is named, and nothing else."""
    quick = ("--set", "queries.repeats_max=3", "--set", "queries.repeat_wait_s=2", "--json")
    ask = ("verify", "standby", "--level", "query", *quick)
    alike = await user.types(*ask)
    assert alike.code == 0, alike.out + alike.err
    answers = {row["datasource"]: row for row in alike.result["queries"]["datasources"]}
    assert answers["wiki"]["good"] >= 3
    assert answers["wiki"]["columns_unmeasured"] == []
    await user.standby.client.mark_unused("wiki", f"{DAYS[2]}/{DAYS[3]}")
    async with asyncio.timeout(60):
        while any(id_.startswith(f"wiki_{DAYS[2]}") for id_ in await user.standby.client.served()):
            await asyncio.sleep(0.3)
    differ = await user.types(*ask)
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
    """The source's bytes are gone as well: the standby's own are enough."""
    (folder / "source").rename(folder / "gone")
    async with cluster("third", folder, postgresql, standby=True) as third:
        clusters: dict[str, Cluster] = {"standby": user.standby, "third": third}
        log = kafka_log_of(user.config)
        config = await write_config(folder, user.source, clusters, log)
        for number, moment in enumerate(rng.sample(moments, 3)):
            adopt = ["--adopt"] if number == 0 else []
            other = User(config, user.processes, user.source, user.standby)
            done = await other.does(
                *("restore", "standby", "--into", "third", "--to-offset", str(moment.offset)),
                *("--yes", *adopt),
            )
            assert done["done"], done
            await other.standby_is(moment, cluster=third)


def kafka_log_of(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(config.read_text())["log"]
    return found
