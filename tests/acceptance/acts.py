"""What operators and jobs do to a Druid that the tests follow."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, TypeAlias

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from tests.servers.druid import Client, Row, kafka_supervisor
from tests.servers.kafka import Kafka

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
