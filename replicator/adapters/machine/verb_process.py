"""A verb of this program in a process of its own, which ends with this process.

The child reads its standard input to its end, which is when this process ends, however that happens
(`cli/terminal/job_channel.py`). Through one more pipe it reports its progress and its document, one
JSON line each; its standard output and error are stored as a terminal would have shown them.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson

from replicator.errors import TransientError
from replicator.model.operations.command_line import CHANNEL
from replicator.task_group import TaskGroup

TEXT_BYTES_MAX: Final = 1 << 20
"""Number of bytes stored of each of the child's two outputs: the last ones."""
CHUNK_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbEnded:
    """The end of a verb's process."""

    code: int
    """Exit code of the child, or the negative number of the signal that ended it."""
    document: Mapping[str, Any] | None
    stdout: str
    stderr: str
    too_large: bool = False
    """Whether its document was larger than allowed."""


class VerbProcess:
    """One run of `python -m replicator` with arguments.

    Args:
        arguments: The verb and its options, without the program's name.
        environ: The child's variables; this class adds some.
        document_bytes_max: Largest accepted document.
        held: File that the child keeps open: a lock on it lasts as long as the child lives.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        *,
        document_bytes_max: int,
        held: int | None = None,
    ) -> None:
        self._arguments, self._environ = list(arguments), environ
        self._document_bytes_max = document_bytes_max
        self._held = () if held is None else (held,)
        self._process: asyncio.subprocess.Process | None = None
        self._document: Mapping[str, Any] | None = None
        self._too_large = False

    async def run(self, report: Callable[[Mapping[str, Any]], None]) -> VerbEnded:
        """Run the verb to its end; `report` is called with each progress report.

        A cancelled caller leaves no process behind.

        Raises:
            TransientError: the process cannot be started: too many processes or open files.
        """
        process, reading = await self._begun()
        self._process = process
        try:
            async with TaskGroup() as group:
                group.create_task(self._hear(reading, report))
                stdout = group.create_task(_tail(process.stdout))
                stderr = group.create_task(_tail(process.stderr))
            code = await process.wait()
        finally:
            await self._end(process)
        return VerbEnded(
            code=code,
            document=self._document,
            stdout=stdout.result(),
            stderr=stderr.result(),
            too_large=self._too_large,
        )

    def terminate(self) -> None:
        """Ask the process to end; it cleans up first."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the process at once."""
        self._signal(signal.SIGKILL)

    async def _begun(self) -> tuple[asyncio.subprocess.Process, int]:
        """Start the process; return it with the pipe of its reports."""
        try:
            reading, writing = os.pipe()
            try:
                return await self._start(writing), reading
            except BaseException:
                os.close(reading)
                raise
            finally:
                os.close(writing)
        except OSError as exc:
            raise TransientError(
                f"the process of the verb cannot be started: {exc}",
                hint="see what else runs here, and the limits of processes and open files",
            ) from exc

    async def _start(self, writing: int) -> asyncio.subprocess.Process:
        # Modules come from where this process found them, and never from the current folder alone.
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; from replicator.__main__ import main; main()"
        )
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            code,
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._environ, CHANNEL: str(writing)},
            pass_fds=(writing, *self._held),
            start_new_session=True,  # Ctrl-C reaches only this process
        )

    async def _hear(self, reading: int, report: Callable[[Mapping[str, Any]], None]) -> None:
        """Read the child's reports, line by line, until it closes the pipe."""
        loop = asyncio.get_running_loop()
        stream = asyncio.StreamReader(limit=self._document_bytes_max)
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(reading, "rb")
        )
        try:
            while line := await stream.readline():
                found = orjson.loads(line)
                if "document" in found:
                    self._document = found["document"]
                else:
                    report(found["progress"])
        except (
            ValueError,
            asyncio.LimitOverrunError,
        ):  # a line over the limit, or cut off by a kill
            self._too_large = not stream.at_eof()
            self.terminate()
        finally:
            transport.close()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            self.kill()
            with suppress(asyncio.CancelledError):
                await process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


async def _tail(stream: asyncio.StreamReader | None) -> str:
    """Read all output and return its end."""
    assert stream is not None  # noqa: S101 - it was asked for
    tail = b""
    while chunk := await stream.read(CHUNK_BYTES):
        tail = (tail + chunk)[-TEXT_BYTES_MAX:]
    return tail.decode(errors="replace")
