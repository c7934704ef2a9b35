"""Tasks that end together, in a group that leaves the task which waits for it as it was."""

import asyncio
import sys

if sys.version_info >= (3, 13):
    TaskGroup = asyncio.TaskGroup
else:
    from types import TracebackType
    from typing import Self

    class TaskGroup(asyncio.TaskGroup):
        """An asyncio.TaskGroup whose failure is no cancellation of the task that waits for it.

        Before Python 3.13 a group whose task fails at its end leaves the waiting task with a count
        of cancellations that no task takes back (python/cpython#116720; seen with 3.11.2, 3.11.7
        and 3.12.1). In 3.11.2, Debian 12's, the next `asyncio.timeout` that ends there then raises
        a CancelledError in place of its TimeoutError, and the task ends without a word.
        """

        async def __aenter__(self) -> Self:
            await super().__aenter__()
            self._waiting, self._cancellations = _now()
            return self

        async def __aexit__(
            self,
            kind: type[BaseException] | None,
            exc: BaseException | None,
            traceback: TracebackType | None,
        ) -> None:
            try:
                await super().__aexit__(kind, exc, traceback)
            except BaseExceptionGroup:
                if self._waiting.cancelling() > self._cancellations:
                    self._waiting.uncancel()
                raise

    def _now() -> "tuple[asyncio.Task[object], int]":
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio's own group has refused that
        return task, task.cancelling()
