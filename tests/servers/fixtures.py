"""Fixtures of the servers; a test module that wants them names this one in `pytest_plugins`.

Nothing imports this module: pytest rewrites its assertions, and can do so on the first import only.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import fetching
from tests.servers.desk import on_a_desk_only
from tests.servers.kafka import SECURED, Kafka, KafkaCluster
from tests.servers.mariadb import BINLOG, Mariadb
from tests.servers.postgresql import Postgresql, started
from tests.servers.process import Processes, processes
from tests.servers.stores import S3, Azure, Gcs, Hdfs


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Postgresql]:
    with _postgresql() as server:
        yield server


@pytest.fixture(scope="session")
def logical_postgresql() -> Iterator[Postgresql]:
    """A server that tells its commits."""
    settings = {
        "wal_level": "logical",
        "max_prepared_transactions": "4",
        "autovacuum": "off",  # the start of a slot waits for its transactions
    }
    with _postgresql(settings) as server:
        yield server


@contextmanager
def _postgresql(settings: Mapping[str, str] | None = None) -> Iterator[Postgresql]:
    # not below tmp_path: root's is closed to the user that the server runs as
    parent = Path(tempfile.mkdtemp(prefix="pg-"))
    parent.chmod(0o755)
    server = asyncio.run(started(parent / "data", settings=settings))
    yield server
    asyncio.run(server.stop())
    shutil.rmtree(parent)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    with own_mariadb() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_with_binlog() -> Iterator[Mariadb]:
    """A server with a binary log of rows, which a test may rotate and reset."""
    with own_mariadb(*BINLOG) as server:
        yield server


@pytest.fixture
def mariadb_with_filters() -> Iterator[Mariadb]:
    """A server whose binary log leaves a database out."""
    with own_mariadb(*BINLOG, "--binlog-ignore-db=mine") as server:
        yield server


@pytest.fixture(scope="module")
def mariadb_replica() -> Iterator[Mariadb]:
    """A server that may follow another one, only reads, and logs what it replays."""
    options = (*BINLOG, "--server-id=8", "--log-slave-updates", "--read-only")
    with own_mariadb(*options) as server:
        yield server


@contextmanager
def own_mariadb(*options: str) -> Iterator[Mariadb]:
    # a short name: that of a socket has a limit
    folder = Path(tempfile.mkdtemp(prefix="my-"))
    with on_a_desk_only():
        server = Mariadb(folder, *options)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    """Start commands by one interpreter for all tests."""
    with processes(tmp_path_factory.mktemp("processes")) as found:
        yield found


@pytest.fixture
async def druid_dsn(postgresql: Postgresql) -> AsyncIterator[str]:
    """A fresh database with the tables of Druid 33."""
    async with postgresql.database() as dsn:
        yield dsn


@pytest.fixture(scope="session")
def kafka_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """One broker for all tests that do not harm it, reached in each way, plain and secured."""
    with on_a_desk_only():
        broker = Kafka(tmp_path_factory.mktemp("kafka"), secured=SECURED)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Kafka]:
    """A broker that a test may kill."""
    with on_a_desk_only():
        broker = Kafka(tmp_path / "kafka")
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def druid_folder() -> Iterator[Path]:
    """A folder for clusters of Druid, entered by everybody, with a short name for load specs."""
    with on_a_desk_only():
        fetching.home("druid", sources="onejvm")
    folder = Path(tempfile.mkdtemp(prefix="druids-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def kafka_cluster(tmp_path: Path) -> Iterator[KafkaCluster]:
    """Three brokers that a test may kill."""
    with on_a_desk_only():
        cluster = KafkaCluster(tmp_path / "kafka")
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with on_a_desk_only():
        server = S3(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.server.kill()


@pytest.fixture(scope="session")
def gcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcs]:
    with on_a_desk_only():
        server = Gcs(tmp_path_factory.mktemp("gcs"))
    server.start()
    yield server
    server.server.kill()


@pytest.fixture(scope="session")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azure]:
    with on_a_desk_only():
        server = Azure(tmp_path_factory.mktemp("azure"))
    server.start()
    yield server
    server.server.kill()


@pytest.fixture(scope="session")
def hdfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hdfs]:
    with on_a_desk_only():
        server = Hdfs(tmp_path_factory.mktemp("hdfs"))
    server.start()
    yield server
    server.server.kill()
