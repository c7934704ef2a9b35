"""The program with its page, which `demo --keep` leaves running until `demo --stop`."""

import asyncio
import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import aiohttp

from replicator.adapters.scratch.ports import free_ports
from replicator.cli.demo.sandbox import DemoError, Stage, tail

SETTINGS: Final = """\
web:
  status_interval_s: 2
  control: {{listen: "127.0.0.1:{port}"}}
"""
PID_FILE, LOG_FILE = "page.pid", "page.log"
TOKEN_NAME: Final = "demo"  # noqa: S105 - a name, not a secret
ANSWER_MAX_S: Final = 300.0
END_MAX_S: Final = 30.0
POLL_S: Final = 0.1


class KeptPage(NamedTuple):
    """Address of the page, and a token that opens it."""

    url: str
    token: str


async def keep_page(stage: Stage) -> KeptPage:
    """Start `run --resume` with the control API, detached, and wait until its page answers.

    Raises:
        DemoError: the page does not answer; the message has the end of the log.
    """
    (port,) = free_ports(1)
    stage.add(SETTINGS.format(port=port))
    made = await stage.ask("token", "create", TOKEN_NAME, "--role", "admin")
    log = stage.folder / LOG_FILE
    with log.open("ab") as output:
        process = subprocess.Popen(  # noqa: ASYNC220, S603 - it outlives this one
            stage.command("run", "--resume"),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=stage.environ(),
            start_new_session=True,
        )
    (stage.folder / PID_FILE).write_text(f"{process.pid}\n")
    url = f"http://127.0.0.1:{port}/page/"
    try:
        async with asyncio.timeout(ANSWER_MAX_S):
            while not await _answers(url):
                _refuse_ended(process, log)
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        _end(process, stage.folder)
        raise stage.too_slow("its page has not answered", ANSWER_MAX_S, LOG_FILE) from None
    except BaseException:
        _end(process, stage.folder)
        raise
    return KeptPage(url, str(made["token"]))


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    end_page(folder)
    process.poll()  # it was waited for by its id, which the object does not notice


def _refuse_ended(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise DemoError(f"its page did not start:\n{tail(log)}")


def end_page(folder: Path) -> None:
    """End the program that was left running, if it still runs."""
    try:
        pid = int((folder / PID_FILE).read_text())
    except (OSError, ValueError):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        ends_at = time.monotonic() + END_MAX_S
        while _is_ours(pid, folder) and time.monotonic() < ends_at:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
            time.sleep(POLL_S)


def _is_ours(pid: int, folder: Path) -> bool:
    """Return whether a process is still the one that was started, as ids are reused."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        return os.fsencode(folder) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.ok
    except aiohttp.ClientError:
        return False
