"""A server that depends on this process: it ends when told to, and when this process is killed."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from replicator.adapters.scratch.process import DependentProcess
from replicator.errors import TransientError
from tests.servers.tied import tied

SAYS_ITS_PID = ("/bin/sh", "-c", 'echo "pid $$"; exec sleep 600')
PARENT = """
import sys, time
from pathlib import Path
from replicator.adapters.scratch.process import DependentProcess
server = DependentProcess("server", sys.argv[2:], Path(sys.argv[1]))
time.sleep(600)
"""


async def pid_in(log: Path) -> int:
    async with asyncio.timeout(20):
        while not log.exists() or not log.read_text().endswith("\n"):
            await asyncio.sleep(0.01)
    return int(log.read_text().split()[1])


async def ended(pid: int) -> None:
    """Wait until it has: an orphan may stay a zombie for a while."""
    async with asyncio.timeout(20):
        while _is_running(pid):
            await asyncio.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_it_runs_until_it_is_stopped(tmp_path: Path):
    log = tmp_path / "log"
    server = DependentProcess("server", SAYS_ITS_PID, log)
    pid = await pid_in(log)
    assert _is_running(pid)
    await server.stop()
    await ended(pid)
    assert server.code is not None
    await server.stop()  # once more is no error


async def test_one_that_ends_by_itself_leaves_its_code_and_its_last_words(tmp_path: Path):
    server = DependentProcess(
        "server", ("/bin/sh", "-c", "echo no port is free >&2; exit 7"), tmp_path / "log"
    )
    async with asyncio.timeout(20):
        while server.code is None:
            await asyncio.sleep(0.01)
    assert (server.code, server.log_tail) == (7, "no port is free")
    await server.stop()


async def test_it_ends_when_its_parent_is_killed(tmp_path: Path):
    log = tmp_path / "log"
    command = tied(sys.executable, "-c", PARENT, str(log), *SAYS_ITS_PID)
    with subprocess.Popen(command) as parent:
        pid = await pid_in(log)
        assert _is_running(pid)
        parent.kill()
    await ended(pid)


async def test_a_signal_to_the_group_of_its_parent_does_not_reach_it(tmp_path: Path):
    """Ctrl-C at a terminal: the parent ends it when it has cleaned up, not the terminal."""
    log = tmp_path / "log"
    server = DependentProcess("server", SAYS_ITS_PID, log)
    pid = await pid_in(log)
    assert os.getpgid(pid) != os.getpgrp()
    await server.stop()


def test_a_log_that_cannot_be_written_is_named(tmp_path: Path):
    with pytest.raises(TransientError, match=f"start server.*{tmp_path}/none/log"):
        DependentProcess("server", SAYS_ITS_PID, tmp_path / "none" / "log")


async def test_it_learns_nothing_of_our_environment_and_nobody_else_reads_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PW", "hush-0815")
    log = tmp_path / "log"
    server = DependentProcess("server", ("/bin/sh", "-c", "env"), log)
    async with asyncio.timeout(20):
        while server.code is None:
            await asyncio.sleep(0.01)
    await server.stop()
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    names = {line.partition("=")[0] for line in log.read_text().splitlines()}
    assert names - of_the_shell == {"PATH", "LC_ALL"}
    assert log.stat().st_mode & 0o077 == 0
