"""Each verb that asks, at a terminal: what a person sees, read from the screen itself."""

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass

import pyte
import pytest

from tests.acceptance.test_cli import User, ids, user

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
__all__ = ["user"]
QUESTION = "Type the name of the target to change (standby):"
LINES = 60
PATIENCE_S = 120.0


@dataclass
class Terminal:
    """A screen with somebody before it, and the program that it runs."""

    descriptor: int
    process: asyncio.subprocess.Process
    screen: pyte.Screen
    stream: pyte.ByteStream
    raw: bytes = b""

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    async def shows(self, text: str) -> None:
        """Read until the text stands on the screen."""
        async with asyncio.timeout(PATIENCE_S):
            while text not in " ".join(" ".join(self.lines).split()):
                assert await self._read(), f"it ended without {text!r}: {self.lines}"

    async def ended(self) -> int:
        """Read to the end."""
        async with asyncio.timeout(PATIENCE_S):
            while await self._read():
                pass
            return await self.process.wait()

    async def _read(self) -> bool:
        loop = asyncio.get_running_loop()
        try:
            seen = await loop.run_in_executor(None, os.read, self.descriptor, 1 << 16)
        except OSError:  # its other side is closed
            seen = b""
        self.raw += seen
        self.stream.feed(seen)
        return bool(seen)

    def types(self, text: str) -> None:
        os.write(self.descriptor, text.encode())


async def at_terminal(
    user: User, *args: str, columns: int, environ: Mapping[str, str] | None = None
) -> Terminal:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    known = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "replicator", *args, "--config", str(user.config)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        env={**known, "TERM": "xterm-256color", **(environ or {})},
    )
    os.close(theirs)
    screen = pyte.Screen(columns, LINES)
    return Terminal(ours, process, screen, pyte.ByteStream(screen))


VERBS = {
    "restore": ("restore", "standby", "--to-offset", "19"),
    "rollback": ("rollback", "orders", "--on", "standby", "--to", "before-drop"),
    "undelete": ("undelete", "orders", "--on", "standby"),
    "rename": ("restore", "standby", "--to-offset", "19", "--rename", "orders=orders 2"),
}


@pytest.mark.parametrize("columns", [80, pytest.param(200, marks=pytest.mark.long)])
async def test_the_question_is_the_last_thing_on_the_screen_and_enter_changes_nothing(
    user: User, columns: int
):
    """Of each verb: bars are gone, the plan stands above, and no line is wider than the screen."""
    await user.cut("1-history", "3-overwrite", "4c-drop", "5-accident")
    before = await ids(user.target, "orders")
    for verb, args in VERBS.items():
        terminal = await at_terminal(user, *args, columns=columns)
        try:
            await terminal.shows(QUESTION)
        except BaseException:
            terminal.process.kill()  # what reads its screen ends with it
            raise
        assert " ".join(terminal.lines[-1].split()).endswith(QUESTION), verb
        shown = "\n".join(terminal.lines)
        assert "cut" in shown, verb
        assert "━" not in shown, verb
        terminal.types("\r")
        assert await terminal.ended() == 4, verb
        assert "nothing was changed: '' is not 'standby'" in "\n".join(terminal.lines), verb
        os.close(terminal.descriptor)
    assert await ids(user.target, "orders") == before
