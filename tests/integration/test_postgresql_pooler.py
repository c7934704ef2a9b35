"""A pooler on the way to the server: in session mode it is as good as none, otherwise refused."""

import os
import pwd
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.adapters.postgresql.session import Database, connect
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.adapters.scratch import user as system_user
from replicator.adapters.scratch.ports import free_ports
from replicator.errors import ConfigError
from tests.servers.server import Server

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.real

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
Pooler = Callable[[str], AbstractContextManager[str]]


@pytest.fixture
def pooler(druid_dsn: str) -> Iterator[Pooler]:
    """Start PgBouncer in a mode, with its defaults else; gives the DSN of the way through it."""
    if PGBOUNCER is None:
        pytest.skip("there is no pgbouncer")
    server = urlsplit(druid_dsn)
    # not below tmp_path: root's is closed to the user that the pooler runs as
    home = Path(tempfile.mkdtemp(prefix="pgbouncer-"))
    home.chmod(0o755)

    @contextmanager
    def start(mode: str) -> Iterator[str]:
        (port,) = free_ports(1)
        config = home / f"{mode}.ini"
        config.write_text(
            f"[databases]\n* = host={server.hostname} port={server.port}"
            f" user=druid password={server.password}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {config}.users\npool_mode = {mode}\n"
        )
        Path(f"{config}.users").write_text('"druid" ""\n')
        command = [str(PGBOUNCER), str(config)]
        if os.geteuid() == 0:  # it refuses to run as root
            user = pwd.getpwnam(system_user.NAME)
            command = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}"]
            command += ["--clear-groups", str(PGBOUNCER), "-q", str(config)]
            for path in (config, Path(f"{config}.users")):
                os.chown(path, user.pw_uid, user.pw_gid)
        pooler = Server(command, home / f"{mode}.log")
        pooler.start(lambda: listens(port), within_s=20)
        try:
            yield f"postgresql://druid@127.0.0.1:{port}{server.path}"
        finally:
            pooler.kill()

    yield start
    shutil.rmtree(home)


def listens(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


async def test_a_pooler_in_session_mode_is_as_good_as_none(pooler: Pooler):
    with pooler("session") as dsn:
        async with PostgresqlMetadataReader(dsn).snapshot() as snapshot:
            assert snapshot.kinds
        assert (await PostgresqlMetadataWriter(dsn).acquire("east")).epoch == 1
        async with connect(Database(dsn=dsn), default_transaction_read_only="on") as session:
            for name in ("row_security", "default_transaction_read_only", "TimeZone"):
                found = await session.value("ask", f"SHOW {name}")
                assert found == {"row_security": "off", "TimeZone": "UTC"}.get(name, "on")
        async with connect(Database(dsn=dsn)) as session:
            assert await session.value("ask", "SHOW default_transaction_read_only") == "off"


@pytest.mark.parametrize("mode", ["transaction", "statement"])
async def test_a_pooler_in_transaction_mode_is_refused_in_words(pooler: Pooler, mode: str):
    with pooler(mode) as dsn:
        for _ in range(2):
            with pytest.raises(ConfigError, match="pooler in transaction mode") as caught:
                async with PostgresqlMetadataReader(dsn).snapshot():
                    pass
            assert "pool_mode=session" in caught.value.hint
            with pytest.raises(ConfigError, match="pooler in transaction mode"):
                await PostgresqlMetadataWriter(dsn).acquire("east")
