"""A real Druid, 33 or 37: its roles and ZooKeeper in one JVM, on PostgreSQL or MariaDB."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeAlias
from urllib.parse import urlsplit
from zipfile import ZipFile

import aiohttp

from replicator.adapters.scratch.druid import EXPORTED, OPENED
from tests.folders import files_below
from tests.servers import fetching
from tests.servers.server import Jvm, free_ports

START_S = 180.0
WAIT_S = 60.0
POLL_S = 0.2
SOON = "PT0.3S"
"""How often what a Druid asks again and again is asked."""
AT_REST_S = 0.6
"""What has not changed for so long has been seen by all roles: twice their period."""
MIB = 1 << 20
WELL = dict.fromkeys(("broker", "historical", "indexer"), "/status/health") | {
    "coordinator": "/druid/coordinator/v1/isLeader"  # it is healthy before it answers anything
}
"""What each role answers with 200 once it works."""

Row: TypeAlias = dict[str, Any]
Login: TypeAlias = tuple[str, str]
"""A user's name and password."""

STANDBY = {
    "druid.coordinator.kill.on": "false",
    "druid.coordinator.kill.supervisor.on": "false",
    "druid.coordinator.kill.audit.on": "false",
    "druid.coordinator.kill.rule.on": "false",
    "druid.coordinator.kill.datasource.on": "false",
    "druid.coordinator.kill.compaction.on": "false",
    "druid.coordinator.kill.pendingSegments.on": "false",
    "druid.coordinator.kill.segmentSchema.on": "false",
}
"""What a standby must not clean up; see docs/standby.md."""


@dataclass(frozen=True)
class Release:
    """What Maven Central has of a release."""

    number: str
    home: str
    roles: tuple[str, ...]
    beside: str | None = None
    """Home of extensions that are not in the first."""


DRUID_33 = Release("33.0.0", "druid", ("coordinator", "broker", "historical", "indexer"))
DRUID_33_CLOUDS = replace(DRUID_33, beside="druid-clouds")
"""With the Azure and HDFS extensions of 29: those of 33 are not there."""
DRUID_33_SECURED = replace(DRUID_33, beside="druid-security")
"""With basic security of 37: that of 33 is not there."""
DRUID_37 = Release("37.0.0", "druid-37", ("coordinator", "historical", "indexer"))
"""Without a Broker: its SQL is not there."""


FORGETTING = 'getJdbcTableType()\\" because \\"table\\" is null'
"""Part of a Broker's answer to a question for its datasources while one of them goes."""


class DruidError(Exception):
    """Druid answered with an error."""


@dataclass(frozen=True)
class Ports:
    zookeeper: int
    coordinator: int
    broker: int
    historical: int
    indexer: int


class Druid:
    """One cluster; `kill` and `start` again keep its data and ports."""

    def __init__(
        self,
        folder: Path,
        dsn: str,
        deep_storage: Path | Mapping[str, str],
        *,
        standby: bool = False,
        release: Release = DRUID_33,
        more: Mapping[str, str] = MappingProxyType({}),
        java: Sequence[str] = (),
    ) -> None:
        """Take a folder as deep storage, or the properties of another one; `more` for all roles.

        `java` are options of its JVM.
        """
        self.folder = folder
        self.release = release
        self.ports = Ports(*free_ports(5))
        if isinstance(deep_storage, Path):
            deep_storage.mkdir(parents=True, exist_ok=True)
            deep_storage = {
                "druid.storage.type": "local",
                "druid.storage.storageDirectory": str(deep_storage),
            }
        self._deep_storage = deep_storage
        home = fetching.home(release.home, sources="onejvm")
        class_path = fetching.class_path(home)
        if release.beside is not None:
            class_path += f":{fetching.class_path(fetching.home(release.beside))}"
        conf = folder / "conf"
        for name in ("conf", "tmp", "segment-cache", "tasks", "task-logs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name, lines in self._properties(dsn, more, standby=standby).items():
            text = "".join(f"{key}={value}\n" for key, value in lines.items())
            (conf / f"{name}.properties").write_text(text)
        (conf / "log4j2.xml").write_text(LOG4J)
        self._jvm = Jvm(
            class_path,
            home,
            [
                *(
                    "-Xms256m",
                    "-XX:MetaspaceSize=192m",
                ),  # else it looks for garbage while it starts
                *("-Xmx768m", "-XX:MaxDirectMemorySize=256m"),
                *("-XX:+ExitOnOutOfMemoryError", "-Duser.timezone=UTC", "-Dfile.encoding=UTF-8"),
                f"-Djava.io.tmpdir={folder / 'tmp'}",
                "-Djava.util.logging.manager=org.apache.logging.log4j.jul.LogManager",
                f"-Dlog4j.configurationFile={conf / 'log4j2.xml'}",
                *(f"--add-exports={name}=ALL-UNNAMED" for name in EXPORTED),
                *(f"--add-opens={name}=ALL-UNNAMED" for name in OPENED),
                *(*java, "onejvm.OneJvm", str(conf)),
                *(str(self.ports.zookeeper), *release.roles),
            ],
            folder / "druid.log",
        )

    def url(self, role: str) -> str:
        """Return where a role listens; the coordinator is the overlord too."""
        return f"http://127.0.0.1:{getattr(self.ports, role)}"

    def launch(self) -> None:
        self._jvm.launch()

    async def wait(self, *, within_s: float = START_S) -> None:
        """Wait until every role says that it is healthy."""
        await asyncio.to_thread(self._jvm.wait, self._is_healthy, within_s=within_s)

    async def start(self) -> None:
        self.launch()
        await self.wait()

    def stop(self) -> None:
        self._jvm.stop()

    def kill(self) -> None:
        self._jvm.kill()

    def _is_healthy(self) -> bool:
        return asyncio.run(self._asked_all())

    async def _asked_all(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            try:
                for role in self.release.roles:
                    async with session.get(f"{self.url(role)}{WELL[role]}") as answer:
                        if answer.status != 200:
                            return False
            except (aiohttp.ClientError, TimeoutError):
                return False
        return True

    def _properties(
        self, dsn: str, more: Mapping[str, str], *, standby: bool
    ) -> dict[str, dict[str, Any]]:
        folder = self.folder
        common = {
            "druid.zk.service.host": f"127.0.0.1:{self.ports.zookeeper}",
            "druid.host": "127.0.0.1",
            "druid.extensions.loadList": "[]",  # they stand on the class path
            "druid.startup.logging.logProperties": "false",
            **metadata_storage(dsn),
            **self._deep_storage,
            "druid.indexer.logs.type": "file",
            "druid.indexer.logs.directory": folder / "task-logs",
            "druid.selectors.indexing.serviceName": "druid/overlord",
            "druid.selectors.coordinator.serviceName": "druid/coordinator",
            "druid.emitter": "noop",
            "druid.lookup.enableLookupSyncOnStartup": "false",
            "druid.server.http.numThreads": 12,
            "druid.processing.buffer.sizeBytes": 8 * MIB,
            "druid.processing.numThreads": 1,
            "druid.processing.numMergeBuffers": 2,
            "druid.global.http.numConnections": 10,
            "druid.segment.handoff.pollDuration": SOON,
            **more,
        }
        return {
            "common": common,
            "coordinator": {
                "druid.service": "druid/coordinator",
                "druid.plaintextPort": self.ports.coordinator,
                "druid.coordinator.asOverlord.enabled": "true",
                "druid.coordinator.asOverlord.overlordService": "druid/overlord",
                "druid.coordinator.startDelay": SOON,
                "druid.coordinator.period": SOON,
                "druid.coordinator.period.indexingPeriod": "PT5S",
                "druid.coordinator.period.metadataStoreManagementPeriod": "PT1H",
                "druid.manager.segments.pollDuration": SOON,
                "druid.manager.config.pollDuration": SOON,
                "druid.manager.rules.pollDuration": SOON,
                "druid.indexer.queue.startDelay": "PT0.1S",
                "druid.indexer.runner.type": "httpRemote",
                "druid.indexer.storage.type": "metadata",
            }
            | (STANDBY if standby else {}),
            "broker": {
                "druid.service": "druid/broker",
                "druid.plaintextPort": self.ports.broker,
                "druid.broker.http.numConnections": 5,
                "druid.sql.planner.metadataRefreshPeriod": SOON,
            },
            "historical": {
                "druid.service": "druid/historical",
                "druid.plaintextPort": self.ports.historical,
                "druid.segmentCache.locations": json.dumps(
                    [{"path": str(folder / "segment-cache"), "maxSize": "2g"}]
                ),
                "druid.server.maxSize": "2g",
            },
            "indexer": {
                "druid.service": "druid/indexer",
                "druid.plaintextPort": self.ports.indexer,
                "druid.worker.capacity": 4,
                "druid.worker.globalIngestionHeapLimitBytes": 256_000_000,
                "druid.indexer.task.baseDir": folder / "tasks",
                "druid.segmentCache.locations": "[]",
            },
        }


def metadata_storage(dsn: str) -> dict[str, Any]:
    """Return the properties that lead a Druid to a database of PostgreSQL or MariaDB."""
    url = urlsplit(dsn)
    driver = {"postgresql": "postgresql", "mysql": "mariadb"}[url.scheme]
    return {
        "druid.metadata.storage.type": url.scheme,
        "druid.metadata.storage.connector.connectURI": (
            f"jdbc:{driver}://{url.hostname}:{url.port}{url.path}"
        ),
        "druid.metadata.storage.connector.user": url.username,
        "druid.metadata.storage.connector.password": url.password or "",
        "druid.metadata.storage.connector.dbcp.maxTotal": 6,
    }


def distribution(folder: Path) -> Path:
    """Lay the release out as its download does: jars in lib, each extension in a folder."""
    home = fetching.home("druid", sources="onejvm")
    extension = folder / "extensions" / "postgresql-metadata-storage"
    extension.mkdir(parents=True)
    (folder / "lib").symlink_to(home / "lib")
    classes = home / "classes"
    with ZipFile(extension / "postgresql-metadata-storage.jar", "w") as jar:
        for path in files_below(classes):
            jar.write(path, path.relative_to(classes))
    return folder


class Client:
    """What a user of a cluster asks of it, over HTTP."""

    def __init__(self, druid: Druid, login: Login | None = None) -> None:
        self._druid = druid
        self.login = login
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=WAIT_S)
        self._session = aiohttp.ClientSession(timeout=timeout)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.close()

    async def ask(
        self,
        method: str,
        role: str,
        path: str,
        body: object = None,
        *,
        login: Login | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Any:
        """Send one request, as somebody else if that is said, and return what came back."""
        sent = {"Accept": "application/json", "Content-Type": "application/json", **headers}
        if (login := login or self.login) is not None:
            sent["Authorization"] = aiohttp.encode_basic_auth(*login)
        assert self._session is not None
        async with self._session.request(
            method,
            f"{self._druid.url(role)}{path}",
            json=body,
            headers=sent,
        ) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise DruidError(f"{method} {path}: {answer.status} {text[:1000]}")
            return json.loads(text) if text else None

    # ------------------------------------------------------------------------------------- queries

    async def sql(self, query: str) -> list[Row]:
        found: list[Row] = await self.ask("POST", "broker", "/druid/v2/sql", {"query": query})
        return found

    async def sql_or_nothing(self, query: str) -> list[Row]:
        """As `sql`, but nothing while the Broker does not know the datasource yet."""
        try:
            return await self.sql(query)
        except DruidError:
            return []

    async def datasources(self) -> list[str]:
        """Return what the Broker knows.

        Druid 33 lists the names first and then looks each up, so a datasource that goes meanwhile
        makes it answer 500: seen once in four runs of the suite. Then it is asked again.
        """
        query = (
            "SELECT TABLE_NAME AS name FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'druid'"
        )
        while True:
            try:
                return sorted(row["name"] for row in await self.sql(query))
            except DruidError as exc:
                if FORGETTING not in str(exc):
                    raise

    async def used(self) -> set[str]:
        """Return the segments that the Coordinator holds for used and not overshadowed."""
        return {id_ for id_, overshadowed in (await self.known()).items() if not overshadowed}

    async def known(self) -> dict[str, bool]:
        """Return the segments that the Coordinator holds for used, and which are overshadowed."""
        found = await self.ask(
            "GET",
            "coordinator",
            "/druid/coordinator/v1/metadata/segments?includeOvershadowedStatus",
        )
        return {row["identifier"]: row["overshadowed"] for row in found}

    async def served(self) -> set[str]:
        """Return the segments that the Broker sees on Historicals."""
        found = await self.sql(
            "SELECT segment_id FROM sys.segments WHERE is_published = 1 AND is_available = 1"
            " AND is_overshadowed = 0"
        )
        return {row["segment_id"] for row in found}

    async def settled(self, *, wanted: set[str], within_s: float = WAIT_S) -> None:
        """Wait until exactly these segments are used, and all of them are served."""
        used: set[str] = set()
        served: set[str] = set()
        try:
            async with asyncio.timeout(within_s):
                while True:
                    used = await self.used()
                    if used == wanted and (served := await self.served()) == wanted:
                        return  # what is served is asked by SQL, which costs a Druid more
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError(
                f"wanted {sorted(wanted)}, used {sorted(used)}, served {sorted(served)}"
            ) from None

    # --------------------------------------------------------------------------------------- tasks

    async def submit(self, task: Mapping[str, Any]) -> str:
        """Run a task to its end, which must be good; return its id."""
        id_ = (await self.ask("POST", "coordinator", "/druid/indexer/v1/task", task))["task"]
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.ask("GET", "coordinator", f"/druid/indexer/v1/task/{id_}/status")
                status = found["status"]["status"]
                if status == "SUCCESS":
                    return str(id_)
                if status == "FAILED":
                    raise DruidError(f"task {id_}: {found['status'].get('errorMsg')}")
                await asyncio.sleep(POLL_S)

    async def load(
        self,
        datasource: str,
        rows: Sequence[Row],
        *,
        interval: str | None = None,
        append: bool = False,
        granularity: str = "DAY",
    ) -> None:
        """Load rows with `__time`, `page`, `n`; without `append` the interval is overwritten."""
        spec = {
            "ioConfig": {
                "type": "index_parallel",
                "inputSource": {
                    "type": "inline",
                    "data": "\n".join(json.dumps(row) for row in rows),
                },
                "inputFormat": {"type": "json"},
                "appendToExisting": append,
            },
            "dataSchema": schema(datasource, granularity, interval),
            "tuningConfig": {
                "type": "index_parallel",
                "partitionsSpec": {"type": "dynamic", "maxRowsPerSegment": 1000},
            },
        }
        await self.submit({"type": "index_parallel", "spec": spec})

    async def compact(self, datasource: str, interval: str) -> None:
        await self.submit(
            {
                "type": "compact",
                "dataSource": datasource,
                "ioConfig": {
                    "type": "compact",
                    "inputSpec": {"type": "interval", "interval": interval},
                },
            }
        )

    async def kill_unused(self, datasource: str, interval: str) -> None:
        await self.submit({"type": "kill", "dataSource": datasource, "interval": interval})

    async def mark_unused(self, datasource: str, interval: str) -> None:
        path = f"/druid/indexer/v1/datasources/{datasource}/markUnused"
        await self.ask("POST", "coordinator", path, {"interval": interval})

    async def mark_used(self, datasource: str, interval: str) -> None:
        path = f"/druid/indexer/v1/datasources/{datasource}/markUsed"
        await self.ask("POST", "coordinator", path, {"interval": interval})

    async def rules(
        self, datasource: str, rules: Sequence[Mapping[str, Any]], *, author: str | None = None
    ) -> None:
        """Set a datasource's rules, as somebody who says who they are if `author` is given."""
        path = f"/druid/coordinator/v1/rules/{datasource}"
        headers = {} if author is None else {"X-Druid-Author": author}
        await self.ask("POST", "coordinator", path, list(rules), headers=headers)

    # --------------------------------------------------------------------------------- supervisors

    async def supervise(self, spec: Mapping[str, Any]) -> str:
        found = await self.ask("POST", "coordinator", "/druid/indexer/v1/supervisor", spec)
        return str(found["id"])

    async def supervisor(self, id_: str, verb: str) -> None:
        """`suspend`, `resume`, `terminate` or `reset` a supervisor."""
        await self.ask("POST", "coordinator", f"/druid/indexer/v1/supervisor/{id_}/{verb}")

    async def supervisor_status(self, id_: str) -> dict[str, Any]:
        found: dict[str, Any] = await self.ask(
            "GET", "coordinator", f"/druid/indexer/v1/supervisor/{id_}/status"
        )
        return found

    async def hand_off(self, id_: str) -> None:
        """Let the running tasks publish at once."""
        path = f"/druid/indexer/v1/supervisor/{id_}/taskGroups/handoff"
        await self.ask("POST", "coordinator", path, {"taskGroupIds": [0]})


def schema(datasource: str, granularity: str, interval: str | None = None) -> dict[str, Any]:
    """Describe rows with `__time`, `page` and `n`."""
    return {
        "dataSource": datasource,
        "timestampSpec": {"column": "__time", "format": "iso"},
        "dimensionsSpec": {"dimensions": ["page", {"type": "long", "name": "n"}]},
        "granularitySpec": {
            "segmentGranularity": granularity,
            "queryGranularity": "NONE",
            "rollup": False,
            **({"intervals": [interval]} if interval else {}),
        },
    }


def kafka_supervisor(datasource: str, topic: str, bootstrap: str) -> dict[str, Any]:
    """Describe a stream of such rows from a topic, from its beginning."""
    return {
        "type": "kafka",
        "spec": {
            "ioConfig": {
                "type": "kafka",
                "topic": topic,
                "inputFormat": {"type": "json"},
                "consumerProperties": {"bootstrap.servers": bootstrap},
                "useEarliestOffset": True,
                "taskCount": 1,
                "replicas": 1,
                "taskDuration": "PT10M",
                "startDelay": "PT0S",
                "period": "PT1S",
                "completionTimeout": "PT5M",
            },
            "dataSchema": schema(datasource, "DAY"),
            "tuningConfig": {"type": "kafka", "offsetFetchPeriod": "PT5S"},
        },
    }


LOG4J = """\
<Configuration status="WARN">
  <Appenders>
    <Console name="c" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{ISO8601} %p [%t] %c{1} - %m%n"/>
    </Console>
  </Appenders>
  <Loggers>
    <Root level="info"><AppenderRef ref="c"/></Root>
    <Logger name="org.apache.zookeeper" level="warn"/>
    <Logger name="org.apache.curator" level="warn"/>
  </Loggers>
</Configuration>
"""
