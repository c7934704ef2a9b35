"""A metadata store that is reached by certificates alone: the server's, compared by name, and ours.

The server is one of the system's where it has one, because the wheel's knows no TLS; and everywhere
it is the wheel's behind a front that speaks TLS as PostgreSQL's protocol has it.
"""

import asyncio
import os
import pwd
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from replicator.adapters.postgresql.session import Database, connect
from replicator.adapters.scratch import user as system_user
from replicator.adapters.scratch.ports import free_ports
from replicator.errors import ConfigError, ReplicatorError, TransientError
from tests.servers.certificates import Authority
from tests.servers.server import Server
from tests.servers.stores import listens

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.real

HOST, ROLE = "localhost", "druid"
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
"""https://www.postgresql.org/docs/current/protocol-message-formats.html"""
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)


@dataclass(frozen=True)
class World:
    """A server, and certificates."""

    dsn: str
    """Without a word on TLS."""
    ours: Authority
    stranger: Authority

    def url(self, *, host: str = HOST, **said: str) -> str:
        """Return the way there with the right certificates, but for what is `said`; '' is not."""
        client = self.ours.certificate(ROLE)
        right = {
            "sslmode": "verify-full",
            "sslrootcert": str(self.ours.file),
            "sslcert": str(client.file),
            "sslkey": str(client.key_file),
        }
        query = urlencode({key: value for key, value in (right | said).items() if value}, safe="/")
        return f"{self.dsn.replace(HOST, host)}?{query}"


@pytest.fixture(params=["front", "server"])
async def world(
    request: pytest.FixtureRequest, tmp_path: Path, druid_dsn: str
) -> AsyncIterator[World]:
    ours, stranger = Authority(tmp_path / "ours", "ours"), Authority(tmp_path / "not", "stranger")
    if request.param == "front":
        async with front(druid_dsn, ours) as dsn:
            yield World(dsn, ours, stranger)
        return
    if not BINARIES:
        pytest.skip("the system has no PostgreSQL")
    async with server(BINARIES[0].parent, ours) as dsn:
        yield World(dsn, ours, stranger)


@asynccontextmanager
async def front(dsn: str, ours: Authority) -> AsyncIterator[str]:
    """Speak TLS before a server that does not."""
    behind = urlsplit(dsn)
    certificate = ours.certificate("server", host=HOST)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ours.file)
    context.load_cert_chain(certificate.file, certificate.key_file)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # as a PostgreSQL believes its clients
    serving = set[asyncio.Task[None]]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        onward: asyncio.StreamWriter | None = None
        try:
            if await reader.readexactly(8) != SSL_REQUEST:
                return  # who asks without TLS is sent away
            writer.write(b"S")
            await writer.start_tls(context)
            back, onward = await asyncio.open_connection(behind.hostname, behind.port)
            async with asyncio.TaskGroup() as group:
                group.create_task(pumped(reader, onward))
                group.create_task(pumped(back, writer))
        except* (OSError, EOFError):
            pass
        finally:
            serving.discard(task)
            for one in (writer, onward):
                if one is not None:
                    one.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    try:
        login = f"{behind.username}:{behind.password}"
        yield f"postgresql://{login}@{HOST}:{port}{behind.path}"
    finally:
        listening.close()
        for task in list(serving):
            task.cancel()
        if serving:
            await asyncio.wait(serving)


async def pumped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass on what comes, until it ends; then the other way ends, too."""
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    raise EOFError


@asynccontextmanager
async def server(binaries: Path, ours: Authority) -> AsyncIterator[str]:
    """Run a server that believes certificates alone, and takes who they are for their role."""
    # not below tmp_path: root's is closed to the user that the server runs as
    home = Path(tempfile.mkdtemp(prefix="pg-tls-"))
    await system_user.identity()
    as_user: list[str] = []
    if os.geteuid() == 0:
        user = pwd.getpwnam(system_user.NAME)
        os.chown(home, user.pw_uid, user.pw_gid)
        as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    data = home / "data"
    made = await asyncio.create_subprocess_exec(
        *as_user, str(binaries / "initdb"), "-D", str(data), "-U", ROLE, "-A", "trust", "-N",
        "--locale=C", "-E", "UTF8", stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await made.wait() == 0
    (data / "pg_hba.conf").write_text("hostssl all all all cert\n")
    certificate = ours.certificate("server", host=HOST)
    for name, file in {
        "server.crt": certificate.file, "server.key": certificate.key_file, "root.crt": ours.file
    }.items():  # fmt: skip
        shutil.copy(file, data / name)
        shutil.chown(data / name, *(_owner(data)))
        (data / name).chmod(0o600)
    (port,) = free_ports(1)
    settings = {
        "port": port, "ssl": "on", "ssl_ca_file": "root.crt", "unix_socket_directories": "",
        "listen_addresses": HOST, "fsync": "off",
    }  # fmt: skip
    options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
    running = Server(
        [*as_user, str(binaries / "postgres"), "-D", str(data), *options], home / "log"
    )
    running.start(lambda: listens(port), within_s=60)
    try:
        yield f"postgresql://{ROLE}@{HOST}:{port}/postgres"
    finally:
        running.stop()
        shutil.rmtree(home)


def _owner(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_uid, found.st_gid


async def asked(url: str) -> int:
    async with connect(Database(dsn=url)) as session:
        found: int = await session.value("ask", "SELECT 1")
    return found


async def test_both_sides_prove_who_they_are(world: World):
    assert await asked(world.url()) == 1
    assert await asked(world.url(sslmode="verify-ca", host="127.0.0.1")) == 1


REFUSED: dict[str, tuple[Callable[[World], str], str]] = {
    "another host": (lambda world: world.url(host="127.0.0.1"), "verify-full"),
    "another authority": (
        lambda world: world.url(sslrootcert=str(world.stranger.file)), "sslrootcert",
    ),
    "no authority": (lambda world: world.url(sslrootcert=""), "sslrootcert"),
    "no such file": (lambda world: world.url(sslrootcert="/nowhere/ca.pem"), "sslrootcert"),
    "no certificate of ours": (lambda world: world.url(sslcert="", sslkey=""), "sslcert"),
    "a stranger's certificate": (
        lambda world: world.url(
            sslcert=str(world.stranger.certificate(ROLE).file),
            sslkey=str(world.stranger.certificate(ROLE).key_file),
        ),
        "sslcert",
    ),
    "another's key": (
        lambda world: world.url(sslkey=str(world.ours.certificate("other").key_file)), "sslkey",
    ),
    "no TLS": (lambda world: world.url(sslmode="disable"), "sslmode"),
}  # fmt: skip


async def test_who_does_not_prove_it_is_told_what_to_set(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HOME", str(tmp_path))  # where libpq's own certificates would be
    for case, (url, named) in REFUSED.items():
        with pytest.raises(ReplicatorError) as found:
            await asked(url(world))
        assert named in f"{found.value} {found.value.hint}", (case, found.value.hint)
        ended_without_a_word = "was closed in the middle" in str(found.value)
        wanted = TransientError if ended_without_a_word else ConfigError
        assert isinstance(found.value, wanted), case
