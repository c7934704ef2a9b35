"""A region is lost: a bucket elsewhere is enough for any moment of it, as a real Druid answers."""

import asyncio
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient

from tests.acceptance.druids import (
    Cluster,
    Moment,
    User,
    cluster,
    kafka_log,
    metadata,
    s3_settings,
    write_config,
)
from tests.acceptance.test_two_druids import Act, Acts, Stream
from tests.servers.kafka import Kafka
from tests.servers.postgresql import Postgresql
from tests.servers.process import Processes
from tests.servers.stores import S3

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("jvms"),
]


async def test_three_moments_come_back_from_the_bucket_alone(
    postgresql: Postgresql,
    kafka_broker: Kafka,
    s3: S3,
    druid_folder: Path,
    forks: Processes,
):
    folder = druid_folder
    vault = f"{folder.name}-vault".replace("_", "-").lower()
    storage = s3_settings(s3, vault)
    async with cluster("source", folder, postgresql) as source:
        user = await followed_into(storage, folder, source, kafka_broker, forks)
        moments = await history(user, kafka_broker)
        source.druid.kill()
    shutil.rmtree(source.root)
    await removed(kafka_broker, folder.name)
    for path in (user.config, folder / "source-druid"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    async with cluster("rescue", folder, postgresql, standby=True) as rescue:
        config = fresh_config(folder, storage, rescue)
        await rescued(User(config, forks, rescue, rescue), moments)


async def removed(broker: Kafka, prefix: str) -> None:
    """The log goes as well."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
    assert topics
    await admin.delete_topics(topics)
    await admin.close()


async def followed_into(
    storage: dict[str, Any], folder: Path, source: Cluster, broker: Kafka, forks: Processes
) -> User:
    """Configure one target: a bucket without a cluster behind it."""
    config = await write_config(folder, source, {}, kafka_log(broker, folder.name))
    found = yaml.safe_load(config.read_text())
    found["targets"] = {
        "vault": {
            "deep_storage": storage,
            "apply_interval_s": 0.2,
            "kill_wait_s": 5,
        }
    }
    config.write_text(yaml.safe_dump(found))
    return User(config, forks, source, source)


async def history(user: User, broker: Kafka) -> list[Moment]:
    """Let things happen, an accident at their end, while the bucket is kept up with them."""
    stream = Stream(broker, f"{user.config.parent.name}.clicks")
    acts = Acts(user.source.client, Random(6), stream)
    running = await user.starts("run")
    moments: list[Moment] = []
    steps: list[Act] = [
        acts.ingest, acts.ingest_another, acts.stream, acts.overwrite_a_part,
        acts.kill, acts.drop_everything,
    ]  # fmt: skip
    for act in steps:
        await act()
        moments.append(await user.moment(act.__name__))
    await reached(user, moments[-1])
    ended = await running.terminate()
    assert ended.code == 0, ended.err
    proof = await user.types("verify", "vault", "--level", "checksum", "--json")
    assert proof.code == 0, proof.out + proof.err
    return moments


async def reached(user: User, moment: Moment) -> None:
    async with asyncio.timeout(60):
        while True:
            (target,) = (await user.status())["targets"]
            if target["cut"] is not None and target["offset"] >= moment.offset:
                return
            await asyncio.sleep(0.3)


def fresh_config(folder: Path, storage: dict[str, Any], rescue: Cluster) -> Path:
    """What somebody writes who has nothing but the bucket's name and its keys."""
    path = folder / "fresh.yaml"
    targets = {
        "vault": {"deep_storage": storage},
        "rescue": {
            "metadata": metadata(rescue.dsn, folder),
            "deep_storage": dict(rescue.storage),
        },
    }
    path.write_text(yaml.safe_dump({"targets": targets}))
    return path


async def rescued(user: User, moments: list[Moment]) -> None:
    """By offset and by time, backwards and forwards; the last one is before the accident."""
    for moment, by_time in ((moments[-2], True), (moments[1], False), (moments[3], True)):
        point = ("--to-time", moment.time) if by_time else ("--to-offset", str(moment.offset))
        done = await user.does("restore", "--from", "vault", "--into", "rescue", *point, "--yes")
        assert done["done"], done
        await user.standby_is(moment)
    proof = await user.types("verify", "rescue", "--from", "vault", "--level", "checksum")
    assert proof.code == 0, proof.out + proof.err
