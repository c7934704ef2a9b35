"""Servers that end with this process, even if it is killed: none is left behind.

Each server is the child of a shell that reads a pipe of this process. The pipe ends with this
process, and the shell then kills the server at once, as its files are scratch.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from replicator.adapters.local.files import translated
from replicator.adapters.machine.threads import finished

GUARD = """
exec 3<&0
"$@" 3<&- </dev/null &
server=$!
{ read -r _ <&3; kill -9 "$server"; } 2>/dev/null &
guard=$!
exec 3<&- 0</dev/null
wait "$server"
code=$?
kill "$guard" 2>/dev/null
exit "$code"
"""
"""Script for any POSIX shell. A background job's own standard input is empty, hence the third."""
END_MAX_S = 30.0
"""Longest wait for a server that was killed, in seconds."""
LOG_TAIL_CHARS = 2000
LOG_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW


class Identity(TypedDict, total=False):
    """User that a process runs as; empty: this process's user."""

    user: int
    group: int
    extra_groups: list[int]


def environment() -> dict[str, str]:
    """Return the part of this process's environment that a server gets.

    Passwords and keys are in variables, and a server shows its own to anyone who gets into it.
    """
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}


class DependentProcess:
    """One server, with its output in a log file."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, *, identity: Identity | None = None
    ) -> None:
        """Start the server, with an environment without this process's secrets.

        Raises:
            TransientError: the log file cannot be written.
            ConfigError: this process may not write the log file.
        """
        self.name, self._log = name, log
        with translated(f"start {name}"), os.fdopen(os.open(log, LOG_FLAGS, 0o600), "ab") as words:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                ["/bin/sh", "-c", GUARD, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=words,
                stderr=subprocess.STDOUT,
                cwd=log.parent,  # files with relative names are scratch as well
                env=environment(),
                start_new_session=True,  # Ctrl-C reaches only this process
                **(identity or Identity()),
            )

    @property
    def code(self) -> int | None:
        """The server's exit code, None while it runs."""
        return self._process.poll()

    @property
    def log_tail(self) -> str:
        """The end of the server's log."""
        return self._log.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip()

    async def stop(self) -> None:
        """Kill the server, and wait for its end."""
        assert self._process.stdin is not None  # noqa: S101 - it was asked for
        self._process.stdin.close()
        await finished(lambda: self._process.wait(END_MAX_S))
