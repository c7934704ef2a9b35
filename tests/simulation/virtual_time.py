"""An event loop whose clock jumps to the next timer instead of waiting."""

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

_Result = TypeVar("_Result")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
LIFETIME_MAX_S = 30 * 86_400.0


class _JumpingSelector(selectors.SelectSelector):
    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout == 0:  # something is ready to run; nothing here waits for a real socket
            return []
        if timeout is None:
            raise AssertionError("deadlock: every task waits and no timer is set")
        self.now_s += max(0.0, timeout)
        if self.now_s > LIFETIME_MAX_S:
            raise AssertionError("livelock: timers keep firing and nothing ends")
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class LoopClock:
    """A `Clock` that agrees with the running loop, so sleeps move the wall clock too."""

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=asyncio.get_running_loop().time())


def in_virtual_time(main: Coroutine[Any, Any, _Result]) -> _Result:
    """Run it to its end; hours pass in no time, and a busy machine delays nothing."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)
