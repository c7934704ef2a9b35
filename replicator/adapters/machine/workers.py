"""Worker processes, so that reading a long log uses more than one core.

A worker is another interpreter like this one, which reads batches from its standard input and
writes results to its standard output. It ends with its input, so also when this process is killed:
no worker is left behind. It has a process group of its own: Ctrl-C reaches only this process.

`multiprocessing` would import the whole program in each worker, and its pools leave workers that
outlive a killed parent, since each of them holds the writing end of the pipe that all read from.
"""

import asyncio
import fcntl
import pickle
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from queue import SimpleQueue
from subprocess import PIPE, Popen
from traceback import format_exc
from typing import IO, Any, Generic, TypeAlias, TypeVar

from replicator.adapters.machine.threads import finished
from replicator.errors import ReplicatorError, TransientError
from replicator.model.event import Record

_Result = TypeVar("_Result")
_Work: TypeAlias = Callable[[Sequence[Record]], _Result]

PIPE_BYTES = 1 << 20
"""Size of a pipe's buffer, if the system allows it: task switches cost more than copies."""
AHEAD = 1
"""Batches queued in addition to those in work, so that no worker waits for the log."""


class ProcessWorkers:
    """`Workers` that start for a long history, and end with it.

    Args:
        count: Number of processes; with one, this process does all the work.
        records_alone_max: Number of records that this process does alone before it starts workers:
            about half a second's work, and longer than a start takes.
    """

    def __init__(self, count: int, *, records_alone_max: int = 20_000) -> None:
        self._count, self._records_alone_max = count, records_alone_max

    @asynccontextmanager
    async def each(
        self, work: _Work[_Result], batches: AsyncIterator[Sequence[Record]]
    ) -> AsyncIterator[AsyncIterator[_Result]]:
        crew = _Crew(work, self._count)
        try:
            yield self._results(work, batches, crew)
        finally:
            await crew.dismiss()

    async def _results(
        self, work: _Work[_Result], batches: AsyncIterator[Sequence[Record]], crew: "_Crew[_Result]"
    ) -> AsyncIterator[_Result]:
        done = 0
        under_way: deque[Future[_Result]] = deque()
        async for batch in batches:
            if self._count == 1 or done < self._records_alone_max:
                done += len(batch)
                yield work(batch)
                continue
            under_way.append(crew.do(batch))
            if len(under_way) > self._count + AHEAD:
                yield await asyncio.wrap_future(under_way.popleft())
        while under_way:
            yield await asyncio.wrap_future(under_way.popleft())


class _Crew(Generic[_Result]):
    """The workers of one history, with a thread for each of them."""

    def __init__(self, work: _Work[_Result], count: int) -> None:
        self._work, self._count = work, count
        self._workers: list[_Worker] = []
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        self._threads: ThreadPoolExecutor | None = None

    def do(self, batch: Sequence[Record]) -> Future[_Result]:
        """Hand a batch to the next idle worker."""
        if self._threads is None:
            self._start()
        assert self._threads is not None  # noqa: S101 - for the type checker
        return self._threads.submit(self._done, batch)

    async def dismiss(self) -> None:
        """End all workers, whatever they are doing."""
        if self._threads is not None:
            await finished(self._end)

    def _start(self) -> None:
        self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="log-worker")
        for _ in range(self._count):
            worker = _Worker(self._work)
            self._workers.append(worker)
            self._idle.put(worker)

    def _done(self, batch: Sequence[Record]) -> _Result:
        worker = self._idle.get()
        try:
            result: _Result = worker.do(batch)
        finally:
            self._idle.put(worker)
        return result

    def _end(self) -> None:
        for worker in self._workers:
            worker.kill()  # a thread that waits for it reads the end of its output
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.close()


class _Worker:
    """One worker process, seen from this process."""

    def __init__(self, work: _Work[Any]) -> None:
        self._work: _Work[Any] | None = work
        # Modules come from where this process found them, and never from the current folder alone.
        code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import serve; serve()"
        command = [sys.executable, "-P", "-c", code]
        self._process = Popen(command, stdin=PIPE, stdout=PIPE, process_group=0)  # noqa: S603
        with suppress(OSError, AttributeError):  # the user's limit for pipes is reached; not Linux
            fcntl.fcntl(self._pipes()[0], fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def do(self, batch: Sequence[Record]) -> Any:
        """Return the work's result for a batch, or raise its exception."""
        try:
            good, result = self._exchange(batch)
        except (OSError, EOFError, pickle.UnpicklingError) as exc:
            raise self._lost() from exc
        if not good:
            raise result
        return result

    def kill(self) -> None:
        """Kill the process at once."""
        self._process.kill()

    def close(self) -> None:
        """Wait for the process's end and close the pipes."""
        self._process.wait()
        for pipe in self._pipes():
            with suppress(OSError):  # unwritten input is lost
                pipe.close()

    def _exchange(self, batch: Sequence[Record]) -> tuple[bool, Any]:
        given, answers = self._pipes()
        if self._work is not None:
            pickle.dump(self._work, given)
            self._work = None
        _send(batch, given)
        answer: tuple[bool, Any] = pickle.load(answers)  # noqa: S301 - our own child
        return answer

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018
        return self._process.stdin, self._process.stdout

    def _lost(self) -> Exception:
        code = self._process.wait()
        if code >= 0:
            return RuntimeError(f"a worker process ended with {code}; stderr has the reason")
        return TransientError(
            f"a worker process that reads the log was killed by signal {-code}",
            hint="if the machine ran out of memory, set `log_workers` to 1; then run it again",
        )


def serve() -> None:
    """Be a worker: read the work, then batches; write the results, until the input ends."""
    given, answers = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, pickle.UnpicklingError, BrokenPipeError):  # the parent is gone
        work = pickle.load(given)  # noqa: S301 - our own parent
        while True:
            pickle.dump(_answer(work, _received(given)), answers)
            answers.flush()


def _send(batch: Sequence[Record], given: IO[bytes]) -> None:
    """Write records as columns with their documents in one piece: pickling each costs twice."""
    offsets, times, types, documents = zip(*batch, strict=True)
    pickle.dump((offsets, times, types, [len(document) for document in documents]), given)
    given.write(b"".join(documents))
    given.flush()


def _received(given: IO[bytes]) -> list[Record]:
    offsets, times, types, sizes = pickle.load(given)  # noqa: S301 - our own parent
    documents, at = [], 0
    data = given.read(sum(sizes))
    if len(data) < sum(sizes):
        raise EOFError
    for size in sizes:
        documents.append(data[at : at + size])
        at += size
    return list(map(Record, offsets, times, types, documents))


def _answer(work: _Work[Any], batch: Sequence[Record]) -> tuple[bool, Any]:
    try:
        return True, work(batch)
    except Exception as exc:  # noqa: BLE001 - raised again where the batch came from
        if not isinstance(exc, ReplicatorError):
            exc.add_note(format_exc())
        return False, exc
