"""Programs that refuse to run as root, like PostgreSQL: root runs them as a system user.

The user is created if missing. Other users run such programs as themselves.
"""

import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from replicator.adapters.machine.file_lock import alone
from replicator.adapters.machine.threads import finished
from replicator.adapters.scratch.process import Identity, environment
from replicator.errors import ConfigError

NAME: Final = "druid-replicator"
MAKING: Final = Path("/etc/.druid-replicator.making")
"""Lock file while the user is created: only root can open it."""
MAKING_MAX_S: Final = 60.0
"""Longest wait for another process that creates the user, in seconds."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A program's exit code and all its output."""

    code: int
    output: str


async def identity() -> Identity:
    """Return the user that the server runs as; empty: this process's user."""
    if os.geteuid() != 0:
        return {}
    user = _known() or await _made()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _known() -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(NAME)
    except KeyError:
        return None


async def _made() -> pwd.struct_passwd:
    program = shutil.which("useradd")
    if program is None:
        raise ConfigError(
            "PostgreSQL refuses to run as root, and there is no useradd to make a user for it",
            hint="run the command as another user than root",
        )
    return await finished(lambda: _made_alone(program))


def _made_alone(program: str) -> pwd.struct_passwd:
    """Create the user, unless another process created it while this one waited.

    Two `useradd` of one name at once both succeed (shadow 4.13 looks before it locks): the second
    gives the user another number, and files of the first number have no owner.
    """
    with alone(MAKING, within_s=MAKING_MAX_S):
        if (user := _known()) is not None:
            return user
        ended = _ended(
            program, "--system", "--user-group", "--no-create-home",
            "--shell", "/usr/sbin/nologin", NAME, who=Identity(),
        )  # fmt: skip
        if (user := _known()) is None:
            raise ConfigError(
                f"the system user {NAME} cannot be made: {ended.output}",
                hint="run the command as another user than root",
            )
        return user


async def run(*command: str, given: str = "") -> Ended:
    """Run a program to its end as that user, with the servers' environment.

    Raises:
        ConfigError: the user is missing and cannot be created.
    """
    return await _run(*command, who=await identity(), given=given)


async def check_reach(*paths: Path) -> None:
    """Refuse early, with a clear message, a parent folder that only root may enter.

    Raises:
        ConfigError: names the folder and the remedy.
    """
    for path in paths:
        found = await run("/bin/sh", "-c", 'cd "$1"', "sh", str(path))
        if found.code != 0:
            raise ConfigError(
                f"the user {NAME}, as which root starts PostgreSQL, cannot enter {path}",
                hint="choose a directory whose parents all users may enter, or do not run as root",
            )


async def _run(*command: str, who: Identity, given: str = "") -> Ended:
    """Run a program to its end in a thread, because uvloop cannot start it as another user."""
    return await finished(lambda: _ended(*command, who=who, given=given))


def _ended(*command: str, who: Identity, given: str = "") -> Ended:
    done = subprocess.run(  # noqa: S603 - our own commands, no shell
        command,
        check=False,
        input=given.encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env=environment(),
        **who,
    )
    return Ended(done.returncode, done.stdout.decode(errors="replace").strip())
