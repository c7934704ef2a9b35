"""Questions that may hang: each has a time limit, and one that hangs on is not asked again."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from functools import partial
from typing import Any, Final, TypeVar

from replicator.errors import ReplicatorError, TransientError, defects_named
from replicator.task_group import TaskGroup

_Answer = TypeVar("_Answer")
CLEAN_UP_S: Final = 1.0
"""Seconds that a question which is given up may take to close what it has opened."""
GIVEN_UP: Final = "given up"
"""Name of the task of a question that is left alone."""


class Patience:
    """Waits for answers no longer than a limit.

    A question that does not even end when it is cancelled, like a read in a thread from a mount
    that is gone, is left alone. Until it ends nothing more is asked of the same: each further
    question would take another thread, until none is left for those that answer.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._hanging: dict[str, asyncio.Task[Any]] = {}

    async def answer(
        self, who: str, question: Callable[[], Coroutine[Any, Any, _Answer]]
    ) -> _Answer:
        """Return the answer of `who`, as errors name it.

        Raises:
            TransientError: it did not answer within the limit, or an earlier question still hangs.
            DefectError: its answer brought out a bug.
        """
        if (earlier := self._hanging.pop(who, None)) is not None and not earlier.done():
            self._hanging[who] = earlier
            raise self._slow(f"{who} still has not answered after {self._limit_s:g} s")
        task = asyncio.create_task(question())
        try:
            await asyncio.wait([task], timeout=self._limit_s)
            if not task.done():
                raise self._slow(f"{who} did not answer within {self._limit_s:g} s")
        finally:
            if not task.done():
                self._hanging[who] = task
                await given_up(task)
        with defects_named(who):
            return task.result()

    async def targets(
        self,
        names: Iterable[str],
        look: Callable[[str], Coroutine[Any, Any, None]],
        failed: Callable[[str, ReplicatorError], None],
    ) -> None:
        """Look at targets side by side: one that hangs or fails holds up no news of the others."""

        async def look_at(name: str) -> None:
            try:
                await self.answer(f"target {name!r}", partial(look, name))
            except ReplicatorError as exc:
                failed(name, exc)

        async with TaskGroup() as group:
            for name in names:
                group.create_task(look_at(name))

    def _slow(self, said: str) -> TransientError:
        return TransientError(
            said,
            hint="look for a lock, a server or a mount that hangs; if it is only slow, raise"
            " `look_timeout_s`",
        )


async def given_up(task: asyncio.Task[Any]) -> None:
    """Cancel a task, and wait only a moment for its end."""
    task.set_name(GIVEN_UP)
    task.add_done_callback(_retrieved)
    task.cancel()
    await asyncio.wait([task], timeout=CLEAN_UP_S)


def _retrieved(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # or the event loop would report it as lost
