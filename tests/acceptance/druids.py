"""Two real Druids, a Kafka between them, and somebody who uses the replicator at a terminal."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import yaml

from replicator import config
from replicator.app import Application
from replicator.model.event import ClosedCut
from replicator.model.plans.restore_point import Latest
from tests.servers import mariadb as mariadb_server
from tests.servers.druid import AT_REST_S, DRUID_33, POLL_S, Client, Druid, Login, Release
from tests.servers.kafka import Kafka
from tests.servers.mariadb import Mariadb
from tests.servers.postgresql import Postgresql, connected
from tests.servers.process import Ended, Processes, Running
from tests.servers.stores import AZURE_KEY, S3, S3_KEY, S3_SECRET

READER = "replicator_reader"
PASSWORD = "druid"
ENV = {"S3_ID": S3_KEY, "S3_KEY": S3_SECRET, "AZURE_KEY": AZURE_KEY}
Answers: TypeAlias = dict[str, Any]

PER_DAY = """
SELECT TIME_FLOOR(__time, 'P1D') AS "day", COUNT(*) AS "rows", SUM(n) AS "sum",
  MIN(__time) AS "first", MAX(__time) AS "last", MIN(n) AS "least", MAX(n) AS "most"
FROM "{name}" GROUP BY 1 ORDER BY 1
"""
PAGES = 'SELECT COUNT(*) AS "pages" FROM (SELECT DISTINCT page FROM "{name}")'
ROWS = 'SELECT __time, page, n, COUNT(*) AS "times" FROM "{name}" GROUP BY 1, 2, 3 ORDER BY 1, 2, 3'


@dataclass(frozen=True)
class Cluster:
    """One Druid with its places."""

    name: str
    druid: Druid
    client: Client
    dsn: str
    root: Path
    storage: Mapping[str, Any]
    """Its deep storage, as a configuration names it."""

    async def answers(self, *, until_not: Answers | None = None) -> Answers:
        """Return what the Broker says of every datasource, or until one answers otherwise."""
        found: Answers = {}
        for name in await self.client.datasources():
            queries = (PER_DAY, PAGES, ROWS)
            found[name] = [
                await self.client.sql_or_nothing(query.format(name=name)) for query in queries
            ]
            if until_not is not None and found[name] != until_not.get(name):
                break
        return found

    async def answers_at_rest(self) -> Answers:
        """As `answers`, once the Broker has heard of everything."""
        found = None
        while found != (now := await self.answers()):
            found = now
            await asyncio.sleep(AT_REST_S)
        return now

    async def answers_like(self, wanted: Answers, *, within_s: float = 60) -> None:
        """Wait until the Broker answers so; a datasource without segments goes a moment later."""
        found: Answers = {}
        try:
            async with asyncio.timeout(within_s):
                while (found := await self.answers(until_not=wanted)) != wanted:
                    await asyncio.sleep(0.3)
        except TimeoutError:
            raise AssertionError(f"wanted {wanted}\nfound {found}") from None


@dataclass(frozen=True)
class Stored:
    """A deep storage that is no folder."""

    settings: Mapping[str, Any]
    """As the replicator's configuration names it."""
    properties: Mapping[str, str]
    """As Druid is told."""
    java: Sequence[str] = ()
    """Options that its client needs of a JVM."""


@dataclass(frozen=True)
class Moment:
    """A cut of the log, and what the source was then."""

    what: str
    offset: int
    time: str
    used: set[str]
    answers: Answers


@dataclass(frozen=True)
class User:
    """Types commands; has the clusters beside it."""

    config: Path
    processes: Processes
    source: Cluster
    standby: Cluster

    @property
    def forks(self) -> Processes:
        return self.processes

    async def types(self, *args: str, within_s: float = 120) -> Ended:
        command = (*args, "--config", str(self.config))
        return await self.processes.run(*command, within_s=within_s, env=ENV)

    async def does(self, *args: str) -> dict[str, Any]:
        """Type a command that must succeed, and return what it says."""
        ended = await self.types(*args, "--json")
        assert ended.code == 0, f"{args}: {ended.out}\n{ended.err}"
        return ended.result

    async def status(self) -> dict[str, Any]:
        """Return what `status` says, also on a busy machine that is behind the promised RPO."""
        ended = await self.types("status", "--json")
        assert ended.code in {0, 10}, ended.err
        return ended.result

    async def starts(self, *args: str) -> Running:
        return await self.processes.start(*args, "--config", str(self.config), env=ENV)

    async def moment(self, what: str) -> Moment:
        """Let the source come to rest, and wait for a cut of it."""
        used = await self.at_rest()
        answers = await self.source.answers_at_rest()
        cut = await self.cut_after(await clock_of(self.source.dsn))
        assert await self.source.client.used() == used, "the source was not at rest"
        time = cut.closed.source_time.isoformat()
        return Moment(what, cut.offset, time, used, answers)

    async def cut_after(self, then: datetime) -> ClosedCut:
        """Wait until the log has a cut that was taken later; a `status` costs a second each."""
        settings = config.load(self.config, ENV)
        async with asyncio.timeout(60), Application(settings, ENV, lambda _: None) as application:
            history = application.history
            while True:
                if await history.has_cuts(await history.span()):
                    cut = await history.find(Latest())
                    if cut.closed.source_time > then:
                        return cut
                await asyncio.sleep(0.1)

    async def at_rest(self) -> set[str]:
        """Wait until Coordinator and Broker have heard of all that the metadata store says."""
        client = self.source.client
        async with asyncio.timeout(90):
            while True:
                stored, known = await used_segments(self.source.dsn), await client.known()
                used = {id_ for id_, overshadowed in known.items() if not overshadowed}
                has_heard = stored.keys() == known.keys() and await client.served() == used
                if has_heard and set(await client.datasources()) == set(stored.values()):
                    return used
                await asyncio.sleep(POLL_S)

    async def standby_is(self, moment: Moment, *, cluster: Cluster | None = None) -> None:
        """The target's Coordinator, Historicals and Broker say what the source said."""
        target = cluster or self.standby
        await target.client.settled(wanted=moment.used)
        await target.answers_like(moment.answers)


async def used_segments(dsn: str) -> dict[str, str]:
    """Return the datasource of each segment that a metadata store holds for used."""
    query = "SELECT id, dataSource FROM druid_segments WHERE used"
    return {row[0]: row[1] for row in await rows_of(dsn, query)}


async def clock_of(dsn: str) -> datetime:
    """Return a database's own time."""
    query = {"postgresql": "SELECT clock_timestamp()", "mysql": "SELECT UTC_TIMESTAMP(6)"}
    now: datetime
    ((now,),) = await rows_of(dsn, query[urlsplit(dsn).scheme])
    return now if now.tzinfo else now.replace(tzinfo=UTC)


async def rows_of(dsn: str, query: str) -> Sequence[Sequence[Any]]:
    """Ask a database of either kind."""
    if urlsplit(dsn).scheme == "mysql":
        return await mariadb_server.execute(dsn, query)
    async with connected(dsn) as connection:
        return [tuple(row) for row in await connection.fetch(query)]


@asynccontextmanager
async def cluster(
    name: str,
    folder: Path,
    database: Postgresql | Mariadb,
    *,
    standby: bool = False,
    in_s3: S3 | None = None,
    stored: Stored | None = None,
    release: Release = DRUID_33,
    login: Login | None = None,
    more: Mapping[str, str] = MappingProxyType({}),
) -> AsyncIterator[Cluster]:
    """Run a Druid that makes its own tables in a new database; segments in a folder, if not said.

    `more` are properties for all of its roles; `login` is asked for by basic security among them.
    """
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(database.database(None))
        root = folder / name
        if in_s3 is not None:
            stored = Stored(s3_settings(in_s3, name), s3_properties(in_s3, name))
        storage = {"type": "local", "root": str(root)} if stored is None else stored.settings
        druid = Druid(
            folder / f"{name}-druid",
            dsn,
            root if stored is None else stored.properties,
            standby=standby,
            release=release,
            more=more,
            java=() if stored is None else stored.java,
        )
        stack.callback(druid.kill)
        await druid.start()
        client = await stack.enter_async_context(Client(druid, login))
        yield Cluster(name, druid, client, dsn, root, storage)


def s3_settings(server: S3, bucket: str) -> dict[str, Any]:
    """Return a deep storage in a new bucket, as the replicator's configuration names it."""
    server.bucket(bucket)
    return {
        "type": "s3",
        "bucket": bucket,
        "prefix": "druid/segments",
        "endpoint_url": server.url,
        "path_style": True,
        "access_key_id_env": "S3_ID",
        "secret_access_key_env": "S3_KEY",
    }


def s3_properties(server: S3, bucket: str) -> dict[str, str]:
    """Return the same as Druid is told."""
    return {
        "druid.storage.type": "s3",
        "druid.storage.bucket": bucket,
        "druid.storage.baseKey": "druid/segments",
        "druid.storage.disableAcl": "true",
        "druid.s3.accessKey": S3_KEY,
        "druid.s3.secretKey": S3_SECRET,
        "druid.s3.endpoint.url": server.url,
        "druid.s3.endpoint.signingRegion": "us-east-1",
        "druid.s3.protocol": "http",
        "druid.s3.enablePathStyleAccess": "true",
        "druid.s3.forceGlobalBucketAccessEnabled": "false",
    }


def metadata(dsn: str, folder: Path) -> dict[str, str]:
    url = urlsplit(dsn)
    found = {
        "type": url.scheme,
        "url": f"{url.scheme}://{url.username}@{url.hostname}:{url.port}{url.path}",
    }
    if url.password:
        password = folder / f"password-of-{url.username}"
        password.write_text(url.password)
        found["password_file"] = str(password)
    return found


def druid_settings(cluster: Cluster, folder: Path, *roles: str) -> dict[str, Any]:
    """Return the section that names those roles of a cluster that it has."""
    has = [role for role in roles if role in cluster.druid.release.roles]
    if not has:
        return {}
    found = {f"{role}_url": cluster.druid.url(role) for role in has}
    if (login := cluster.client.login) is not None:
        password = folder / f"password-of-{cluster.name}"
        password.write_text(login[1])
        found |= {"username": login[0], "password_file": str(password)}
    return {"druid": found}


async def write_config(
    folder: Path,
    source: Cluster,
    targets: Mapping[str, Cluster],
    log: Mapping[str, Any],
    *,
    name: str = "replicator.yaml",
) -> Path:
    """Write the configuration; the source is read by a role that can do nothing else."""
    reader = await reader_of(source.dsn)
    found = {
        "source": {
            "name": "production",
            "metadata": metadata(reader, folder),
            "deep_storage": dict(source.storage),
            **druid_settings(source, folder, "broker"),
        },
        "log": dict(log),
        "watch": {"poll_interval_s": 0.2, "idle_cut_interval_s": 1},
        "targets": {
            name: {
                "metadata": metadata(target.dsn, folder),
                "deep_storage": dict(target.storage),
                **druid_settings(target, folder, "coordinator", "broker"),
                "apply_interval_s": 0.2,
                "kill_wait_s": 5,
            }
            for name, target in targets.items()
        },
    }
    path = folder / name
    path.write_text(yaml.safe_dump(json.loads(json.dumps(found))))
    return path


async def reader_of(dsn: str) -> str:
    """Return the DSN of a user who may read a database and nothing else."""
    url = urlsplit(dsn)
    if url.scheme == "mysql":
        await mariadb_server.execute(
            dsn,
            f"CREATE USER IF NOT EXISTS '{READER}'@'%' IDENTIFIED BY '{PASSWORD}'",
            f"GRANT SELECT ON {url.path[1:]}.* TO '{READER}'@'%'",
        )
    else:
        await made_reader(dsn)
    return f"{url.scheme}://{READER}:{PASSWORD}@{url.hostname}:{url.port}{url.path}"


async def made_reader(dsn: str) -> None:
    async with connected(dsn) as connection:
        exists = await connection.fetchval(
            "SELECT count(*) FROM pg_roles WHERE rolname = $1", READER
        )
        if not exists:
            await connection.execute(f"CREATE ROLE {READER} LOGIN PASSWORD '{PASSWORD}'")
        await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")


def kafka_log(broker: Kafka, prefix: str) -> dict[str, Any]:
    return {
        "type": "kafka",
        "bootstrap_servers": [broker.bootstrap],
        "topic_prefix": prefix,
        "replication_factor": 1,
        "min_insync_replicas": 1,
        "request_timeout_s": 10,
    }
