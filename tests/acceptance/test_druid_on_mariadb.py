"""Real Druids: one on MariaDB to one on PostgreSQL, and from there back to MariaDB."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from tests.acceptance.acts import Acts, Stream
from tests.acceptance.druids import PASSWORD, Cluster, Moment, User, cluster, write_config
from tests.acceptance.worked_example import (
    commands,
    configuration,
    druids,
    reading_user,
    written,
)
from tests.rings import times
from tests.servers.kafka import Kafka
from tests.servers.mariadb import Mariadb
from tests.servers.postgresql import Postgresql
from tests.servers.process import Processes, Running

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("jvms"),
]
CUTS = times(gate=2, long=5)
"""Of each way."""


async def test_from_mariadb_to_postgresql_and_back(
    mariadb: Mariadb, postgresql: Postgresql, druid_folder: Path, forks: Processes
):
    folder, rng = druid_folder, Random(21)
    async with cluster("standby", folder, postgresql, standby=True) as middle:
        async with cluster("source", folder, mariadb) as first:
            log = {"type": "sqlite", "path": str(folder / "log")}
            config = await write_config(folder, first, {"standby": middle}, log)
            user = User(config, forks, first, middle)
            moments = await followed(user, rng)
            await restored(user, moments, rng)
            await user.does("restore", "standby", "--to-offset", str(moments[-1].offset), "--yes")
            await user.standby_is(moments[-1])
        async with cluster("last", folder, mariadb, standby=True) as last:
            log = {"type": "sqlite", "path": str(folder / "other-log")}
            config = await write_config(folder, middle, {"standby": last}, log)
            user = User(config, forks, middle, last)
            back = await followed(user, rng)
            assert len(back[0].answers) == len(moments[-1].answers)
            await restored(user, back, rng)


async def followed(user: User, rng: Random) -> Sequence[Moment]:
    """Let things happen at the source; the standby answers like it at once."""
    checked = await user.types("check")
    assert checked.code == 0, checked.out
    await user.does("target", "create", "standby")
    acts = Acts(user.source.client, rng, Stream(Kafka.__new__(Kafka), "none"))
    running = await user.starts("run")
    moments = []
    for act in (
        acts.ingest, acts.append, acts.mark_unused, acts.overwrite_a_part, acts.kill,
    )[:CUTS]:  # fmt: skip
        await act()
        moment = await user.moment(act.__name__)
        await user.standby_is(moment)
        moments.append(moment)
    ended = await running.terminate()
    assert ended.code == 0, ended.err
    for level in ("checksum", "query"):
        proof = await user.types("verify", "standby", "--level", level)
        assert proof.code == 0, proof.out + proof.err
    return moments


async def restored(user: User, moments: Sequence[Moment], rng: Random) -> None:
    """Every moment comes back, in any order."""
    for moment in rng.sample(moments, len(moments)):
        done = await user.does("restore", "standby", "--to-offset", str(moment.offset), "--yes")
        assert done["done"], done
        await user.standby_is(moment)


async def test_the_worked_example_of_a_move_from_mysql(
    mariadb: Mariadb, postgresql: Postgresql, druid_folder: Path, forks: Processes
):
    """Every command of docs/moving.md in its order, until the new cluster is the one."""
    folder = druid_folder
    async with (
        cluster("old", folder, mariadb) as old,
        cluster("new", folder, postgresql, standby=True) as new,
    ):
        url = urlsplit(new.dsn)
        settings = configuration(
            {
                **druids(old, new),
                "old-db:3306/druid": await reading_user(old.dsn),
                "druid@new-db/druid": f"{url.username}@{url.hostname}:{url.port}{url.path}",
                "/mnt/prod/druid/segments": str(old.root),
                "/mnt/new/druid/segments": str(new.root),
                "/var/lib/druid-replicator/prod.log": str(folder / "log"),
            }
        )
        config = written(settings, folder / "replicator.yaml")
        env = {"OLD_PASSWORD": PASSWORD, "NEW_PASSWORD": url.password or ""}
        acts = Acts(old.client, Random(5), Stream(Kafka.__new__(Kafka), "none"))
        await acts.ingest()
        await moved(forks, config, env, User(Path(config), forks, old, new))
        await acts_on(new, Acts(new.client, Random(6), Stream(Kafka.__new__(Kafka), "none")))


async def moved(forks: Processes, config: str, env: Mapping[str, str], user: User) -> None:
    """Type what the page says; each command must end well."""
    before = await user.source.answers_at_rest()
    running: Running | None = None
    for words in commands():
        if words == ["run"]:
            running = await forks.start(*words, "--config", config, env=env)
            await user.standby.answers_like(before)
            continue
        if words[:2] == ["restore", "--from"]:  # the way back needs a configuration of its own
            continue
        answer = ["--yes"] if words == ["promote", "new"] else []
        done = await forks.run(*words, *answer, "--config", config, env=env, within_s=120)
        assert done.code == 0, f"{words}: {done.out}{done.err}"
    assert running is not None
    ended = await running.terminate()
    assert ended.code == 0, ended.err
    await user.standby.answers_like(before)


async def acts_on(new: Cluster, acts: Acts) -> None:
    """The new cluster publishes segments of its own."""
    used = await new.client.used()
    await acts.append()
    async with asyncio.timeout(60):
        while not await new.client.used() > used:
            await asyncio.sleep(0.3)
