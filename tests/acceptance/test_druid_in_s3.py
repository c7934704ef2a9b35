"""Real Druids whose segments are in S3: to another bucket, to a folder, and from a folder."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from tests.acceptance.acts import DAYS, Acts, Stream
from tests.acceptance.druids import User, cluster, write_config
from tests.acceptance.failover import killed_on_the_standby_alone, promoted_as_planned
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


def acts_of(user: User) -> Acts:
    return Acts(user.source.client, Random(5), Stream(Kafka.__new__(Kafka), "none"))


@pytest.mark.long
async def test_from_one_bucket_to_another_and_to_a_folder(
    postgresql: Postgresql, s3: S3, druid_folder: Path, forks: Processes
):
    folder = druid_folder
    names = {name: f"{folder.name}-{name}".replace("_", "-").lower() for name in ("a", "b")}
    async with (
        cluster(names["a"], folder, postgresql, in_s3=s3) as source,
        cluster(names["b"], folder, postgresql, in_s3=s3, standby=True) as bucket,
        cluster("local", folder, postgresql, standby=True) as local,
    ):
        log = {"type": "sqlite", "path": str(folder / "log")}
        config = await write_config(folder, source, {"bucket": bucket, "local": local}, log)
        user = User(config, forks, source, bucket)
        checked = await user.types("check")
        assert checked.code == 0, checked.out
        running = await user.starts("run")
        acts, moments = acts_of(user), []
        for act in (
            acts.ingest, acts.append, acts.overwrite_a_part, acts.mark_unused, acts.kill,
        ):  # fmt: skip
            await act()
            moment = await user.moment(act.__name__)
            for target in (bucket, local):
                await user.standby_is(moment, cluster=target)
            moments.append(moment)
        ended = await running.terminate()
        assert ended.code == 0, ended.err
        for name in ("bucket", "local"):
            proof = await user.types("verify", name, "--level", "checksum")
            assert proof.code == 0, proof.out + proof.err
        source.druid.kill()
        await asyncio.to_thread(empty, s3.root / names["a"])
        for moment in (moments[1], moments[0], moments[-1]):
            for name, target in (("bucket", bucket), ("local", local)):
                command = ("restore", name, "--to-offset", str(moment.offset), "--yes")
                ended = await user.types(*command)
                assert ended.code == 0, ended.out + ended.err
                await user.standby_is(moment, cluster=target)


def empty(bucket: Path) -> None:
    """The source's bytes go as well."""
    for path in bucket.rglob("*.zip"):
        path.unlink()


@pytest.mark.long
async def test_a_standby_in_s3_reads_what_was_packed_for_it_and_is_promoted_as_planned(
    postgresql: Postgresql,
    kafka_broker: Kafka,
    s3: S3,
    druid_folder: Path,
    forks: Processes,
):
    """The source's segments are unpacked, in a folder."""
    folder = druid_folder
    name = f"{folder.name}-c".replace("_", "-").lower()
    async with (
        cluster("source", folder, postgresql) as source,
        cluster(name, folder, postgresql, in_s3=s3, standby=True) as standby,
    ):
        log = {"type": "sqlite", "path": str(folder / "log")}
        config = await write_config(folder, source, {"standby": standby}, log)
        user = User(config, forks, source, standby)
        running = await user.starts("run")
        stream = Stream(kafka_broker, f"{folder.name}.clicks")
        acts = Acts(source.client, Random(5), stream)
        await acts.stream()
        await acts.ingest()
        await acts.append()
        moment = await user.moment("append")
        assert len(moment.answers["wiki"][0]) == len(DAYS)
        await user.standby_is(moment)
        ended = await running.terminate()
        assert ended.code == 0, ended.err
        await promoted_as_planned(user, stream)
        await killed_on_the_standby_alone(user, s3.root / name)
