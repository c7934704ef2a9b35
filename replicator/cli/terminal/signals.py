"""What signals do before a verb's work begins, during a question and while the verb works.

This module imports nothing but the standard library: a signal may arrive while the rest of the
program is still being imported.
"""

import os
import select
import signal
import stat
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

INTERRUPTED = 130
TERMINATED = 143
GRACE_S = 10.0
"""Seconds that a hanging process has after its drain time before it is ended."""
CLEANING_UP_S = 60.0
"""Seconds that a verb has to clean up after a signal; `run`, `watch` and `apply` have `drain_s`."""
FOLLOWING = frozenset({"run", "watch", "apply", "serve"})
"""Verbs that run until they are stopped."""


NOTHING_CHANGED: Final = "nothing was changed"


@dataclass(slots=True)
class Work:
    """The changes of this process so far, for the message when a signal ends it."""

    so_far: str | None = None
    """What has been done so far, in words; None: work has begun and is not finished."""
    hangs: bool = False
    """Whether the process abandoned a call that does not return, and does not wait for it."""

    @property
    def left(self) -> str:
        """What a signal leaves behind, and how the work continues, in words."""
        if self.so_far is not None:
            return self.so_far
        if FOLLOWING.isdisjoint(sys.argv[1:2]):
            return "type the same command again: it goes on from here"
        return "the next start goes on from here"


WORK: Final = Work()


class Unanswered(BaseException):
    """The operator answered a question with a signal."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code

    @property
    def word(self) -> str:
        """What the signal did, in one word."""
        return "interrupted" if self.exit_code == INTERRUPTED else "terminated"


def terminated_code(args: Sequence[str]) -> int:
    """Return the exit code after SIGTERM: 0 for a verb that runs until it is stopped."""
    follows = not FOLLOWING.isdisjoint(args[:1]) and "--once" not in args
    return 0 if follows else TERMINATED


def leave_early() -> None:
    """Let signals end the process at once, as long as it has not begun any work.

    From here on the end of the terminal (SIGHUP) counts as SIGTERM, unless nohup ignores it.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _close)


def begin() -> None:
    """Let signals unwind the verb's work from here on, so that the verb can clean up."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _unwind)


@contextmanager
def at_a_question() -> Generator[Callable[[int], None]]:
    """Let a signal end a question, which then raises `Unanswered`.

    A question blocks the event loop, whose own handlers would act only after the answer: the
    operator would have to press Ctrl-C twice, and SIGTERM would wait for an answer.

    Yield a function that waits until a file descriptor can be read. A signal that arrives just
    before the wait begins does not interrupt the wait, but its byte in the wakeup pipe ends it.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    former = signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    begin()
    try:
        yield lambda file: _wait(file, woken)
    except KeyboardInterrupt:
        raise Unanswered(INTERRUPTED) from None
    except SystemExit as exc:
        raise Unanswered(int(exc.code or 0)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(former)
        os.close(woken)
        os.close(wakes)


def _wait(file: int, woken: int) -> None:
    """Wait until a file can be read; a signal that ends the process raises here."""
    while file not in select.select([file, woken], [], [])[0]:
        os.read(woken, 4096)  # the byte of a signal that ends nothing, like SIGWINCH


def say_terminated() -> None:
    """Tell the operator that the verb ended in the middle of its work, and how to continue."""
    print(f"replicator: terminated; {WORK.left}", file=sys.stderr)  # noqa: T201


def end_within(seconds: float) -> None:
    """End the process after some seconds even if a call hangs: a lost mount answers no read.

    Confirmed work is safe, as after a kill, and the processes that this one started end with it.
    """
    last = threading.Timer(seconds, _give_up, (seconds,))
    last.daemon = True  # the interpreter does not wait for this thread when the verb ends in time
    last.start()


def _give_up(seconds: float) -> None:
    message = f"replicator: something did not return within {seconds:g} s after the signal to stop;"
    os.write(2, f"{message} it was left, and {WORK.left}\n".encode())
    os._exit(TERMINATED)


def _leave(number: int, _: FrameType | None) -> None:
    word = "interrupted" if number == signal.SIGINT else "terminated"
    os.write(2, f"replicator: {word} before it began; nothing was done\n".encode())
    os._exit(INTERRUPTED if number == signal.SIGINT else terminated_code(sys.argv[1:]))


def _close(_: int, __: FrameType | None) -> None:
    """End as after SIGTERM; output to the closed terminal is discarded, so that no write fails."""
    null = os.open(os.devnull, os.O_WRONLY)
    for file in (1, 2):
        if stat.S_ISCHR(os.fstat(file).st_mode):  # a file that leads elsewhere keeps its output
            os.dup2(null, file)
    os.close(null)
    os.kill(os.getpid(), signal.SIGTERM)


def _unwind(_: int, __: FrameType | None) -> None:
    raise SystemExit(terminated_code(sys.argv[1:]))
