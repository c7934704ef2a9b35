"""A region is lost: a bucket elsewhere is enough for any moment of it, as a real Druid answers."""

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from aiokafka.admin import AIOKafkaAdminClient

from tests.acceptance.druids import Cluster, Moment, User, cluster, metadata
from tests.servers.druid import DRUID_33
from tests.servers.kafka import Kafka
from tests.servers.postgresql import Postgresql
from tests.servers.stores import S3

READING = replace(DRUID_33, roles=("coordinator", "broker", "historical"))
"""What a rescue needs: nothing is ingested."""


def with_a_vault(config: Path, storage: Mapping[str, Any]) -> None:
    """Configure one target more: a bucket without a cluster behind it."""
    found = yaml.safe_load(config.read_text())
    found["targets"]["vault"] = {
        "deep_storage": dict(storage),
        "apply_interval_s": 0.2,
        "kill_wait_s": 5,
    }
    config.write_text(yaml.safe_dump(found))


async def has_reached(user: User, moment: Moment) -> None:
    """Wait until the vault is kept up with the source."""
    async with asyncio.timeout(60):
        while True:
            targets = {row["target"]: row for row in (await user.status())["targets"]}
            vault = targets["vault"]
            if vault["cut"] is not None and vault["offset"] >= moment.offset:
                return
            await asyncio.sleep(0.3)


async def moments_come_back_from_the_bucket_alone(
    user: User,
    moments: list[Moment],
    storage: Mapping[str, Any],
    postgresql: Postgresql,
    broker: Kafka,
    s3: S3,
) -> None:
    """Both clusters, their bytes, the log and the configuration are gone."""
    folder = user.config.parent
    for lost in (user.source, user.standby):
        lost.druid.kill()
        shutil.rmtree(folder / f"{lost.name}-druid")
    shutil.rmtree(user.source.root)
    await asyncio.to_thread(shutil.rmtree, s3.root / user.standby.name)
    await removed(broker, folder.name)
    user.config.unlink()
    async with cluster("rescue", folder, postgresql, standby=True, release=READING) as rescue:
        config = fresh_config(folder, storage, rescue)
        await rescued(User(config, user.forks, rescue, rescue), moments)


async def removed(broker: Kafka, prefix: str) -> None:
    """The log goes as well."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    topics = [topic for topic in await admin.list_topics() if topic.startswith(prefix)]
    assert topics
    await admin.delete_topics(topics)
    await admin.close()


def fresh_config(folder: Path, storage: Mapping[str, Any], rescue: Cluster) -> Path:
    """What somebody writes who has nothing but the bucket's name and its keys."""
    path = folder / "fresh.yaml"
    targets = {
        "vault": {"deep_storage": dict(storage)},
        "rescue": {
            "metadata": metadata(rescue.dsn, folder),
            "deep_storage": dict(rescue.storage),
        },
    }
    path.write_text(yaml.safe_dump({"targets": targets}))
    return path


async def rescued(user: User, moments: list[Moment]) -> None:
    """By offset and by time, backwards and forwards; the last one is before the accident."""
    (overwritten,) = (moment for moment in moments if moment.what == "overwrite_a_part")
    for moment, by_time in ((moments[-2], True), (moments[1], False), (overwritten, True)):
        point = ("--to-time", moment.time) if by_time else ("--to-offset", str(moment.offset))
        done = await user.does("restore", "--from", "vault", "--into", "rescue", *point, "--yes")
        assert done["done"], done
        await user.standby_is(moment)
    proof = await user.types("verify", "rescue", "--from", "vault", "--level", "checksum")
    assert proof.code == 0, proof.out + proof.err
