"""The way into a MySQL server: TLS, certificates, and `caching_sha2_password`.

MariaDB 11.4 does not know the latter, which MySQL 9 leaves as the only one. So a door of our own
asks for it as MySQL's protocol has it
(https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html),
and lets nobody in who does not show the password as he should.
"""

import asyncio
import contextlib
import os
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from replicator.adapters.mysql.session import Database, connect
from replicator.errors import ConfigError, ReplicatorError, TransientError
from tests.servers.certificates import Authority
from tests.servers.fetching import MissingToolError
from tests.servers.mariadb import Mariadb, execute

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = pytest.mark.real

SECRET = "s3cret-w0rd"
NONCE = b"01234567890123456789"
USER = "druid"
CAPABILITIES = 0x000F_A201 | 0x0008_0000 | 0x8000
TLS = 0x0800


# ------------------------------------------------------------------------------- TLS of MariaDB


@dataclass(frozen=True)
class World:
    server: Mariadb
    ours: Authority
    stranger: Authority

    def dsn(self, *, host: str = "localhost", **said: str) -> str:
        query = urlencode({key.replace("_", "-"): value for key, value in said.items()}, safe="/")
        return f"mysql://{USER}:{SECRET}@{host}:{self.server.port}/mysql?{query}"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="my-"))
    ours, stranger = Authority(folder / "a", "ours"), Authority(folder / "b", "stranger")
    shown = ours.certificate("localhost", host="localhost")
    files = ("--ssl-ca", ours.file), ("--ssl-cert", shown.file), ("--ssl-key", shown.key_file)
    try:
        server = Mariadb(folder, tls=[f"{name}={file}" for name, file in files])
    except MissingToolError as exc:
        if os.environ.get("CI", "") in {"true", "1"}:
            raise
        pytest.skip(str(exc))
    server.start()
    asyncio.run(
        execute(
            server.dsn,
            f"CREATE USER {USER}@'%' IDENTIFIED BY '{SECRET}' REQUIRE SSL",
            f"GRANT SELECT ON mysql.* TO {USER}@'%'",
        )
    )
    yield World(server, ours, stranger)
    server.stop()
    shutil.rmtree(folder)


async def cipher(dsn: str) -> str:
    async with connect(Database(dsn=dsn, connect_timeout_s=5)) as session:
        ((_, found),) = await session.fetch("ask", "SHOW SESSION STATUS LIKE 'Ssl_cipher'")
        return str(found)


async def test_a_server_is_reached_by_tls_and_compared_by_name(world: World):
    ours = str(world.ours.file)
    assert await cipher(world.dsn(ssl_ca=ours))
    assert await cipher(world.dsn(ssl_ca=ours, ssl_mode="VERIFY_CA", host="127.0.0.1"))
    assert await cipher(world.dsn(ssl_mode="REQUIRED"))
    client = world.ours.certificate(USER)
    shown = {"ssl_cert": str(client.file), "ssl_key": str(client.key_file)}
    assert await cipher(world.dsn(ssl_ca=ours, **shown))


@pytest.mark.parametrize(
    ("said", "host", "hint"),
    [
        ({}, "localhost", "ssl-mode=REQUIRED"),
        ({"ssl_ca": "stranger"}, "localhost", "ssl-ca"),
        ({"ssl_mode": "VERIFY_CA"}, "localhost", "ssl-ca"),
        ({"ssl_ca": "ours"}, "127.0.0.1", "VERIFY_IDENTITY"),
    ],
)
async def test_who_is_not_believed_is_told_which_option_to_set(
    world: World, said: dict[str, str], host: str, hint: str
):
    files = {"stranger": str(world.stranger.file), "ours": str(world.ours.file)}
    dsn = world.dsn(host=host, **{key: files.get(value, value) for key, value in said.items()})
    with pytest.raises(ConfigError) as found:
        await cipher(dsn)
    assert hint in found.value.hint
    assert SECRET not in str(found.value)


# ------------------------------------------------------------------------- caching_sha2_password


class Door:
    """Speaks as MySQL does until somebody is let in, and ends the connection then."""

    def __init__(self, *, tls: ssl.SSLContext | None, other_way: str | None = None) -> None:
        self._tls, self._other_way = tls, other_way
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.shown: bytes | None = None
        """The password, as it was understood."""
        self.was_secret = False

    def meet(self, listening: socket.socket) -> None:
        """Wait for one who knocks. A thread does, for TLS begins in the middle of what is read."""
        accepted, _ = listening.accept()
        accepted.settimeout(20)
        with contextlib.closing(accepted):
            self._meet(accepted)

    def _meet(self, peer: socket.socket) -> None:
        capabilities = CAPABILITIES | (TLS if self._tls else 0)
        greeting = (
            b"\x0a9.7.0\0"
            + (7).to_bytes(4, "little") + NONCE[:8] + b"\0"
            + (capabilities & 0xFFFF).to_bytes(2, "little") + b"\xff\x02\0"
            + (capabilities >> 16).to_bytes(2, "little") + bytes([21]) + bytes(10)
            + NONCE[8:] + b"\0caching_sha2_password\0"
        )  # fmt: skip
        _send(peer, 0, greeting)
        number, said = _read(peer)
        if self._tls and int.from_bytes(said[:4], "little") & TLS:
            self.was_secret = True
            with self._tls.wrap_socket(peer, server_side=True) as secret:
                number, said = _read(secret)
                self._let_in(secret, number, said)
        else:
            self._let_in(peer, number, said)

    def _let_in(self, peer: socket.socket, number: int, said: bytes) -> None:
        assert USER.encode() in said
        if self._other_way is not None:
            prompt = b"\x05Password: " if self._other_way == "dialog" else b""
            _send(peer, number + 1, b"\xfe" + self._other_way.encode() + b"\0" + prompt)
            if packet := peer.recv(100):  # nothing, if it went away
                self.shown = packet[4:].removesuffix(b"\0")
            return
        _send(peer, number + 1, b"\x01\x04")  # the whole password, please
        number, said = _read(peer)
        if said == b"\x02":
            public = self._key.public_key().public_bytes(
                Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
            )
            _send(peer, number + 1, b"\x01" + public)
            number, said = _read(peer)
            oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303
            mixed = self._key.decrypt(said, oaep)
            said = bytes(a ^ NONCE[i % len(NONCE)] for i, a in enumerate(mixed))
        self.shown = said.removesuffix(b"\0")
        denied = b"\xff" + (1045).to_bytes(2, "little") + b"#28000Access denied, said the door"
        _send(peer, number + 1, denied)


def _send(peer: socket.socket, number: int, data: bytes) -> None:
    peer.sendall(len(data).to_bytes(3, "little") + bytes([number]) + data)


def _read(peer: socket.socket) -> tuple[int, bytes]:
    head = _exactly(peer, 4)
    return head[3], _exactly(peer, int.from_bytes(head[:3], "little"))


def _exactly(peer: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = peer.recv(size - len(found))
        assert more, "the client went away"
        found += more
    return found


@asynccontextmanager
async def opened(door: Door) -> AsyncIterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        meeting = asyncio.create_task(asyncio.to_thread(door.meet, listening))
        yield listening.getsockname()[1]
        await meeting


async def knock(dsn: str) -> ReplicatorError:
    with pytest.raises((ConfigError, TransientError)) as found:
        async with connect(Database(dsn=dsn, connect_timeout_s=5)):
            pass
    return found.value


async def test_the_password_is_shown_encrypted_by_the_servers_key():
    door = Door(tls=None)
    async with opened(door) as port:
        said = await knock(f"mysql://{USER}:{SECRET}@127.0.0.1:{port}/druid")
    assert door.shown == SECRET.encode()
    assert "said the door" in str(said)
    assert SECRET not in str(said)


async def test_the_password_is_shown_within_tls(tmp_path: Path):
    ours = Authority(tmp_path / "a", "ours")
    shown = ours.certificate("localhost", host="localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.file, shown.key_file)
    door = Door(tls=context)
    async with opened(door) as port:
        place = f"mysql://{USER}:{SECRET}@localhost:{port}/druid"
        said = await knock(f"{place}?ssl-ca={ours.file}")
    assert door.was_secret
    assert door.shown == SECRET.encode()
    assert "said the door" in str(said)


@pytest.mark.parametrize("way", ["mysql_clear_password", "dialog"])
async def test_the_password_is_not_shown_in_clear_to_whoever_asks(way: str):
    """The library does so on any connection, for PAM; so can anybody in the server's place."""
    door = Door(tls=None, other_way=way)
    async with opened(door) as port:
        said = await knock(f"mysql://{USER}:{SECRET}@127.0.0.1:{port}/druid")
    assert door.shown is None
    assert "asks for the password in clear" in str(said)
    assert "ssl-mode" in said.hint


async def test_a_server_that_wants_the_password_itself_gets_it_within_tls(tmp_path: Path):
    ours = Authority(tmp_path / "a", "ours")
    shown = ours.certificate("localhost", host="localhost")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(shown.file, shown.key_file)
    door = Door(tls=context, other_way="mysql_clear_password")
    async with opened(door) as port:
        await knock(f"mysql://{USER}:{SECRET}@localhost:{port}/druid?ssl-ca={ours.file}")
    assert door.was_secret
    assert door.shown == SECRET.encode()
