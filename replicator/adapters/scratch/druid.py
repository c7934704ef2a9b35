"""A scratch Druid over scratch metadata and a scratch deep storage, from an installed release.

Four JVMs: ZooKeeper, a Coordinator, a Historical and a Broker, on this machine's loopback only.
There is no Overlord, so no supervisor reads a stream and no task deletes anything. The restored
cluster's other instructions (rules, dynamic configuration, lookups) are removed from the scratch
metadata first: they refer to tiers and machines that do not exist here, and a drop rule would act
by today's clock.
"""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from replicator.adapters.druid.broker import DruidBroker
from replicator.adapters.druid.request import DruidLogin, send
from replicator.adapters.local.files import translated
from replicator.adapters.postgresql.druid_tables import PREFIX
from replicator.adapters.postgresql.session import Database, connect
from replicator.adapters.scratch.ports import free_ports
from replicator.adapters.scratch.process import DependentProcess
from replicator.errors import ConfigError, TransientError
from replicator.model.druid.release import Release, release_of
from replicator.ports.druid import Availability, RunningDruid

HOST = "127.0.0.1"
HEALTH_WAIT_S, HEALTH_TIMEOUT_S = 0.3, 2.0
MIB = 1 << 20
BUFFER_BYTES = 25 * MIB
"""Direct memory per query that runs on a server."""
DIRECT_BYTES_MAX = 256 * MIB
"""Direct memory of each JVM: five such buffers, and memory for compression."""
ZOOKEEPER_HEAP_BYTES_MAX = 128 * MIB
MAIN = ("org.apache.druid.cli.Main", "server")
ZOOKEEPER = "org.apache.zookeeper.server.ZooKeeperServerMain"
SERVICES = re.compile(r"druid-services-(.+)\.jar")
JAVA_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
JAVA_NEEDED: Mapping[Release, int] = {Release(38): 21}
"""Oldest Java per release, from that release on (38.0.0's release notes)."""
JAVA_TIMEOUT_S = 30.0
OPENED = (
    "java.base/java.io", "java.base/java.lang", "java.base/java.nio", "java.base/sun.nio.ch",
    "java.base/jdk.internal.ref", "jdk.management/com.sun.management.internal",
)  # fmt: skip
EXPORTED = ("java.base/jdk.internal.ref", "java.base/jdk.internal.misc")
"""Java packages that Druid opens since Java 11, as its own bin/run-java does."""
TAKEN_OUT = ("rules", "config", "supervisors")
"""Tables with instructions for a Druid; it adds a rule that loads everything by itself."""
USED = f"SELECT count(*) FROM {PREFIX}segments WHERE used"  # noqa: S608 - a constant name
LOG4J = """\
<Configuration status="WARN">
  <Appenders>
    <Console name="out" target="SYSTEM_OUT">
      <PatternLayout pattern="%d{ISO8601} %p [%t] %c{1} - %m%n"/>
    </Console>
  </Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """An unpacked download of Druid, and how to run it."""

    home: Path
    java: str
    extensions: Sequence[str]
    """Extensions that the segments need, like `druid-datasketches`."""
    properties: Sequence[str] = ()
    """Runtime properties that affect how segments are read, like `name=value`."""
    heap_bytes_max: int
    """Heap size of each of the three servers."""
    disk_bytes_max: int
    """Most bytes of segments that the Historical may load."""
    start_timeout_s: float
    query_timeout_s: float

    @property
    def release(self) -> str:
        """Return the release, like `33.0.0`.

        Raises:
            ConfigError: `home` contains no Druid, or Java is missing.
        """
        if shutil.which(self.java) is None:
            raise ConfigError(
                f"drill.druid.java names {self.java!r}, which is not there",
                hint="install the Java that this release of Druid needs, or name another one",
            )
        with translated(f"look for Druid in {self.home}"):
            jars = [path.name for path in self.home.glob("lib/druid-services-*.jar")]
        found = [match[1] for name in jars if (match := SERVICES.fullmatch(name))]
        if not found:
            raise ConfigError(
                f"drill.druid.home is {self.home}, and it has no lib/druid-services-*.jar",
                hint="name the folder that Druid's download was unpacked to: bin and lib are in it",
            )
        self._require_java(found[0])
        return found[0]

    def _require_java(self, release: str) -> None:
        """Refuse a Java that this release does not run on, before anything is restored."""
        known = release_of(release)
        needed = [
            java for since, java in JAVA_NEEDED.items() if known is not None and known >= since
        ]
        if not needed:
            return
        with translated(f"ask {self.java} for its version"):
            version = subprocess.run(  # noqa: S603 - the configured Java
                [self.java, "-version"],
                capture_output=True,
                check=False,
                text=True,
                timeout=JAVA_TIMEOUT_S,
            )
        major = JAVA_VERSION.search(version.stderr + version.stdout)
        if major is not None and int(major[1]) < max(needed):
            raise ConfigError(
                f"drill.druid.java names {self.java!r}, which is Java {major[1]}, and Druid"
                f" {release} needs {max(needed)} or newer",
                hint="install that Java, and name its bin/java",
            )


class ScratchProcesses:
    """Starts a Druid over restored segments, for the length of a `with` block.

    Args:
        distribution: Druid to start.
        folder: Folder for its configuration, logs and loaded segments; it is created.
        dsn: DSN of the scratch metadata, with the password; the table prefix is Druid's default.
        deep_storage: Root folder of the scratch deep storage.
    """

    def __init__(
        self, distribution: Distribution, folder: Path, *, dsn: str, deep_storage: Path
    ) -> None:
        self._distribution, self._folder = distribution, folder
        self._dsn, self._deep_storage = dsn, deep_storage
        self.release = distribution.release

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[RunningDruid]:
        await self._take_orders_out()
        zookeeper, coordinator, historical, broker = free_ports(4)
        ports = {"coordinator": coordinator, "historical": historical, "broker": broker}
        self._configure(zookeeper, ports)
        async with AsyncExitStack() as stack:
            servers = []
            for name, command in self._commands(ports).items():
                servers.append(DependentProcess(name, command, self._folder / f"{name}.log"))
                stack.push_async_callback(servers[-1].stop)
            await self._healthy(servers, ports.values())
            yield self._running(broker)

    def _running(self, port: int) -> RunningDruid:
        timeout_s = self._distribution.query_timeout_s
        broker = DruidBroker([f"http://{HOST}:{port}"], DruidLogin(), query_timeout_s=timeout_s)

        async def availability() -> Availability:
            async with connect(Database(dsn=self._dsn)) as session:
                used = int(await session.value("count used segments", USED))
            return await broker.availability(used)

        return RunningDruid(broker=broker, availability=availability)

    async def _take_orders_out(self) -> None:
        async with connect(Database(dsn=self._dsn)) as session:
            for table in TAKEN_OUT:
                await session.execute(f"empty {PREFIX}{table}", f"DELETE FROM {PREFIX}{table}")  # noqa: S608 - our own names

    def _commands(self, roles: Iterable[str]) -> dict[str, list[str]]:
        """Return the command of each server, ZooKeeper first."""
        heap = self._distribution.heap_bytes_max
        zookeeper = (ZOOKEEPER, str(self._folder / "zoo.cfg"))
        return {
            "zookeeper": self._command("zookeeper", zookeeper, ZOOKEEPER_HEAP_BYTES_MAX),
            **{role: self._command(role, (*MAIN, role), heap) for role in roles},
        }

    def _command(self, name: str, main: Sequence[str], heap_bytes_max: int) -> list[str]:
        wanted, folder = self._distribution, self._folder
        java = Path(shutil.which(wanted.java) or wanted.java).absolute()
        return [
            *(str(java), "-server", f"-Xmx{heap_bytes_max}", "-XX:+ExitOnOutOfMemoryError"),
            f"-XX:MaxDirectMemorySize={DIRECT_BYTES_MAX}",
            *("-Duser.timezone=UTC", "-Dfile.encoding=UTF-8", f"-Djava.io.tmpdir={folder}"),
            "-Djava.util.logging.manager=org.apache.logging.log4j.jul.LogManager",
            *(f"--add-exports={one}=ALL-UNNAMED" for one in EXPORTED),
            *(f"--add-opens={one}=ALL-UNNAMED" for one in OPENED),
            *("-cp", f"{folder / name}:{folder / 'common'}:{wanted.home}/lib/*", *main),
        ]

    async def _healthy(self, servers: Sequence[DependentProcess], ports: Iterable[int]) -> None:
        """Wait until all three Druid servers report that they are healthy."""
        waiting = list(ports)
        try:
            async with asyncio.timeout(self._distribution.start_timeout_s):
                while waiting:
                    if ended := [one for one in servers if one.code is not None]:
                        raise _not_started(f"ended with {ended[0].code}", ended)
                    waiting = [port for port in waiting if not await _is_healthy(port)]
                    await asyncio.sleep(HEALTH_WAIT_S)
        except TimeoutError:
            limit_s = self._distribution.start_timeout_s
            raise _not_started(f"is not healthy after {limit_s:g} s", servers) from None

    def _configure(self, zookeeper: int, ports: Mapping[str, int]) -> None:
        folder = self._folder
        wanted = dict(one.split("=", 1) for one in self._distribution.properties)
        common = wanted | self._common(zookeeper)
        with translated(f"configure a Druid in {folder}"):
            folder.mkdir(mode=0o700, parents=True)
            for name in ("common", "zookeeper", *ports):
                (folder / name).mkdir(mode=0o700)
            (folder / "common" / "log4j2.xml").write_text(LOG4J)
            _write(folder / "common" / "common.runtime.properties", common)
            for role, port in ports.items():
                own = {"druid.service": f"druid/{role}", "druid.plaintextPort": str(port)}
                _write(folder / role / "runtime.properties", own | self._of_role(role))
            _write(
                folder / "zoo.cfg",
                {
                    "dataDir": str(folder / "zookeeper"),
                    "clientPort": str(zookeeper),
                    "clientPortAddress": HOST,
                    "admin.enableServer": "false",
                    "tickTime": "2000",
                },
            )

    def _common(self, zookeeper: int) -> dict[str, str]:
        url, wanted = urlsplit(self._dsn), self._distribution
        extensions = ["postgresql-metadata-storage", *wanted.extensions]
        return {
            "druid.extensions.loadList": orjson.dumps(extensions).decode(),
            "druid.extensions.directory": str(wanted.home / "extensions"),
            "druid.zk.service.host": f"{HOST}:{zookeeper}",
            "druid.host": HOST,
            "druid.bindOnHost": "true",
            "druid.startup.logging.logProperties": "false",
            "druid.metadata.storage.type": "postgresql",
            "druid.metadata.storage.connector.connectURI": (
                f"jdbc:postgresql://{url.hostname}:{url.port}{url.path}"
            ),
            "druid.metadata.storage.connector.user": url.username or "",
            "druid.metadata.storage.connector.password": url.password or "",
            "druid.storage.type": "local",
            "druid.storage.storageDirectory": str(self._deep_storage),
            "druid.selectors.coordinator.serviceName": "druid/coordinator",
            "druid.selectors.indexing.serviceName": "druid/overlord",
            "druid.lookup.enableLookupSyncOnStartup": "false",
            "druid.emitter": "noop",
            "druid.processing.buffer.sizeBytes": str(BUFFER_BYTES),
            "druid.processing.numThreads": "2",
            "druid.processing.numMergeBuffers": "2",
            "druid.server.http.numThreads": "20",
        }

    def _of_role(self, role: str) -> dict[str, str]:
        match role:
            case "coordinator":
                return {
                    "druid.coordinator.startDelay": "PT1S",
                    "druid.coordinator.period": "PT2S",
                    "druid.manager.segments.pollDuration": "PT5S",
                    "druid.manager.rules.pollDuration": "PT1S",
                }
            case "historical":
                folder = str(self._folder / "historical" / "segment-cache")
                most = self._distribution.disk_bytes_max
                cache = orjson.dumps([{"path": folder, "maxSize": most}]).decode()
                return {
                    "druid.server.maxSize": str(most),
                    "druid.segmentCache.locations": cache,
                }
            case _:
                return {
                    "druid.broker.http.numConnections": "10",
                    "druid.sql.planner.metadataRefreshPeriod": "PT1S",
                }


async def _is_healthy(port: int) -> bool:
    url = f"http://{HOST}:{port}/status/health"
    try:
        async with send(DruidLogin(), "GET", url, timeout_s=HEALTH_TIMEOUT_S) as answer:
            return answer.ok
    except TransientError:
        return False


def _not_started(what: str, servers: Sequence[DependentProcess]) -> TransientError:
    words = "\n".join(f"{one.name}:\n{one.log_tail}" for one in servers)
    return TransientError(f"the Druid of a drill {what}; the end of its logs:\n{words}")


def _write(path: Path, properties: Mapping[str, str]) -> None:
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={_escaped(value)}\n" for name, value in properties.items()))


def _escaped(value: str) -> str:
    """Return a value for a properties file: backslashes and line ends need an escape in Java."""
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
