"""Blocking calls in threads: those of a place that may hang, and those that only compute."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from threading import Semaphore, Thread
from typing import Any, Final, TypeVar
from weakref import finalize

from replicator.errors import TransientError
from replicator.task_group import TaskGroup

_Result = TypeVar("_Result")
THREADS_MAX: Final = 8
ANSWER_TIMEOUT_S: Final = 45.0
"""Shorter than `look_timeout_s`, so that a look reports what hangs."""


class Threads:
    """The threads of one place whose calls may hang, such as a folder on a mount.

    Nothing else uses them: a mount that is gone holds up what needs it and no other place. They do
    not hold up the end of the process either, which ends a call that never returns.

    Args:
        place: The place, as errors name it.
        threads_max: Number of calls at once; further ones wait.
        answer_timeout_s: How long a call may take until its place counts as hanging.
        tell: Receives what hangs when a call that cannot be given up takes longer.
        hint: What an operator does about it.
    """

    def __init__(
        self,
        place: str,
        *,
        threads_max: int = THREADS_MAX,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        tell: Callable[[TransientError], None] = lambda _: None,
        hint: str = "look for a mount or a disk that hangs",
    ) -> None:
        self._place, self._threads_max = place, threads_max
        self._answer_timeout_s, self._tell, self._hint = answer_timeout_s, tell, hint
        self._calls: SimpleQueue[_BlockingCall | None] = SimpleQueue()
        self._idle = Semaphore(0)
        self._count, self._ended_s = 0, 0.0
        finalize(self, self._calls.put, None).atexit = False

    async def finished(self, call: Callable[[], _Result]) -> _Result:
        """Return the result of `call`, which is never given up once it has begun.

        A cancelled caller waits for the call's end first, so that nothing is renamed, written or
        adopted while the caller already cleans up.

        Raises:
            TransientError: the call did not begin, as all threads hang.
        """
        future, ended = self._given(call)
        try:
            while not await self._ends(ended):
                if not future.running():
                    self._refuse(future)
                else:
                    self._tell(self._hangs())
        except asyncio.CancelledError:
            if not future.cancel():
                await _end_of(ended)
            raise
        return ended.result()

    async def answered(self, call: Callable[[], _Result]) -> _Result:
        """Return the result of `call`, which changes nothing: one that hangs is left alone.

        Raises:
            TransientError: the place did not answer in time.
        """
        future, ended = self._given(call)
        try:
            while not await self._ends(ended):
                if future.running():
                    raise self._hangs()
                self._refuse(future)
        finally:
            if not ended.done():
                future.cancel()
                ended.add_done_callback(_retrieved)
        return ended.result()

    def leave(self, call: Callable[[], object]) -> None:
        """Run `call` when a thread is free, and wait for nothing."""
        with suppress(TransientError):  # nothing depends on it
            self._given(call)[1].add_done_callback(_retrieved)

    def _given(
        self, call: Callable[[], _Result]
    ) -> "tuple[Future[_Result], asyncio.Future[_Result]]":
        future: Future[_Result] = Future()
        if not self._idle.acquire(blocking=False) and self._count < self._threads_max:
            self._begin_thread()
        self._calls.put(_BlockingCall(call, future))
        return future, asyncio.wrap_future(future)

    def _begin_thread(self) -> None:
        """Begin one more thread; without it the others do the call.

        Raises:
            TransientError: the system has no thread for this place, which has none.
        """
        # A daemon: the interpreter would wait for others at its end, for ever.
        thread = Thread(target=_work, args=(self._calls, self._idle), name=self._place, daemon=True)
        try:
            thread.start()
        except RuntimeError as exc:
            if not self._count:
                raise TransientError(
                    f"{self._place}: {exc}",
                    hint="see how many processes and threads this user or container has, and may"
                    " have",
                ) from exc
        else:
            self._count += 1

    async def _ends(self, ended: "asyncio.Future[_Result]") -> bool:
        done, _ = await asyncio.wait([ended], timeout=self._answer_timeout_s)
        if done:
            self._ended_s = asyncio.get_running_loop().time()
        return bool(done)

    def _refuse(self, future: "Future[Any]") -> None:
        """Take back a call that has not begun, unless the place was only busy."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._ended_s >= self._answer_timeout_s and future.cancel():
            raise self._hangs()

    def _hangs(self) -> TransientError:
        return TransientError(
            f"{self._place} did not answer within {self._answer_timeout_s:g} s", hint=self._hint
        )


async def answers(
    calls: Mapping[str, Callable[[], _Result]], *, within_s: float
) -> dict[str, _Result]:
    """Return what each place answers; one that hangs is left out, and holds up no other.

    Args:
        calls: A call that changes nothing, by its place.
        within_s: How long each may take, in seconds.
    """
    found = dict[str, _Result]()

    async def ask(place: str, call: Callable[[], _Result]) -> None:
        with suppress(TransientError):
            found[place] = await Threads(place, answer_timeout_s=within_s).answered(call)

    async with TaskGroup() as group:
        for place, call in calls.items():
            group.create_task(ask(place, call))
    return found


class _BlockingCall:
    """A call, and the task that waits for it."""

    __slots__ = ("_call", "_future")

    def __init__(self, call: Callable[[], Any], future: "Future[Any]") -> None:
        self._call, self._future = call, future

    def run(self) -> None:
        if not self._future.set_running_or_notify_cancel():
            return
        try:
            result = self._call()
        except BaseException as exc:  # noqa: BLE001 - raised again where it was called
            self._future.set_exception(exc)
        else:
            self._future.set_result(result)


def _work(calls: "SimpleQueue[_BlockingCall | None]", idle: Semaphore) -> None:
    """Do calls until the end; the one who reads the end leaves it for the others."""
    while (one := calls.get()) is not None:
        one.run()
        del one  # or its result would live until the next call
        idle.release()
    calls.put(None)


async def finished(
    call: Callable[[], _Result], thread: ThreadPoolExecutor | None = None
) -> _Result:
    """Return the result of a call that touches no file and no server, or has a thread of its own.

    Without one it shares threads with all others: it must end by itself.
    """
    future = asyncio.get_running_loop().run_in_executor(thread, call)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await _end_of(future)
        raise


async def _end_of(future: "asyncio.Future[Any]") -> None:
    while not future.done():
        with suppress(asyncio.CancelledError):  # raised again by the caller
            await asyncio.wait([future])
    _retrieved(future)


def _retrieved(future: "asyncio.Future[Any]") -> None:
    if not future.cancelled():
        future.exception()  # retrieved, or the event loop would report it as lost
