"""A terminal with somebody before it: commands run in it, and its screen is read."""

import asyncio
import fcntl
import os
import pty
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pyte

from tests.servers.process import Processes, Running

LINES = 60
PATIENCE_S = 120.0
CTRL_C = "\x03"


@dataclass
class Terminal:
    """The screen, and the program that it shows."""

    descriptor: int
    process: Running
    screen: pyte.Screen
    stream: pyte.ByteStream
    raw: bytes = b""

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    @property
    def text(self) -> str:
        """All that is on the screen, as if no line had ended."""
        return " ".join(" ".join(self.lines).split())

    async def shows(self, text: str, *, times: int = 1) -> None:
        """Read until the text stands on the screen, so many times."""
        async with asyncio.timeout(PATIENCE_S):
            while self.text.count(text) < times:
                assert await self._read(), f"it ended without {text!r}: {self.lines}"

    async def ended(self) -> int:
        """Read to the end."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while await self._read():
                    pass
        except TimeoutError:
            running = self.process.is_running
            raise AssertionError(f"it did not end (running: {running}): {self.lines}") from None
        return (await self.process.ended()).code

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


@asynccontextmanager
async def at_terminal(
    forks: Processes, *args: str, columns: int = 80, environ: Mapping[str, str] | None = None
) -> AsyncIterator[Terminal]:
    """Run a command at a terminal; it is killed if it still runs at the end of the block."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, columns, 0, 0))
    width = {"COLUMNS": str(columns), "LINES": str(LINES), "TERM": "xterm-256color"}
    try:
        process = await forks.start(
            *args, env={**width, **(environ or {})}, terminal=os.ttyname(theirs)
        )
        screen = pyte.Screen(columns, LINES)
        closing = asyncio.create_task(_closed_at_its_end(process, theirs))
        try:
            yield Terminal(ours, process, screen, pyte.ByteStream(screen))
        finally:
            await process.kill()
            await closing
    finally:
        os.close(ours)


async def _closed_at_its_end(process: Running, theirs: int) -> None:
    """Close the program's side: earlier, the program might not have opened it yet."""
    try:
        await process.ended(within_s=10 * PATIENCE_S)
    finally:
        os.close(theirs)
