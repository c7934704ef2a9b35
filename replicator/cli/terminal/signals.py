"""Handling of signals, before a verb's work begins and while it runs.

Only the standard library is imported here: the rest of the program takes a second to import, and a
signal may arrive within it.
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
"""Time from the end of the drain time until a hanging process is ended, in seconds."""
CLEANING_UP_S = 60.0
"""Time of a verb to clean up after a signal, in seconds; `run` and the like have `drain_s`."""
FOLLOWING = frozenset({"run", "watch", "apply", "serve"})
"""Verbs that run until they are stopped."""


NOTHING_CHANGED: Final = "nothing was changed"


@dataclass(slots=True)
class Work:
    """The changes of this process so far, for the message when a signal ends it."""

    so_far: str | None = None
    """What has been done; None while work is in hand, before the operator agrees: nothing."""
    hangs: bool = False
    """Whether a call was left that does not return: the process ends without waiting for it."""

    @property
    def left(self) -> str:
        """The state that a signal leaves behind, as text."""
        if self.so_far is not None:
            return self.so_far
        if FOLLOWING.isdisjoint(sys.argv[1:2]):
            return "type the same command again: it goes on from here"
        return "the next start goes on from here"


WORK: Final = Work()


class Unanswered(BaseException):
    """A signal arrived instead of an answer to a question."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code

    @property
    def said(self) -> str:
        """The signal, as text."""
        return "interrupted" if self.exit_code == INTERRUPTED else "terminated"


def terminated_code(args: Sequence[str]) -> int:
    """Return the exit code of a verb that SIGTERM ends: to stop is what a following one is for."""
    follows = not FOLLOWING.isdisjoint(args[:1]) and "--once" not in args
    return 0 if follows else TERMINATED


def leave_early() -> None:
    """Let signals end the process at once, while it has not begun to do anything.

    A terminal that closes is a SIGTERM from here on, unless it may close (nohup).
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _close)


def begin() -> None:
    """Let signals unwind what is being done from here on: work is in hand."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _unwind)


@contextmanager
def at_a_question() -> Generator[Callable[[int], None]]:
    """Let a signal end the wait for an answer, in which no event loop hears of one: `Unanswered`.

    The loop's own handlers only take note and go on when the call returns: an operator who pressed
    Ctrl-C would have had to press it twice, and SIGTERM would have waited for an answer.

    Gives what waits until something can be read from a file descriptor. A signal that comes just
    before a read begins does not interrupt it; a byte in the wakeup pipe is there all the same.
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
    """Wait until a file can be read; a signal that ends the process raises from here."""
    while file not in select.select([file, woken], [], [])[0]:
        os.read(woken, 4096)  # of a signal that ends nothing


def say_terminated() -> None:
    """Say how a verb ended that was in the middle of its work."""
    print(f"replicator: terminated; {WORK.left}", file=sys.stderr)  # noqa: T201


def end_within(seconds: float) -> None:
    """End the process after so long, whatever hangs: a mount that is gone answers no read.

    What is confirmed by then is safe, as after a kill; processes that were started end with us.
    """
    last = threading.Timer(seconds, _give_up, (seconds,))
    last.daemon = True  # an end in time does not wait for it
    last.start()


def _give_up(seconds: float) -> None:
    said = f"replicator: something did not return within {seconds:g} s after the signal to stop;"
    os.write(2, f"{said} it was left, and {WORK.left}\n".encode())
    os._exit(TERMINATED)


def _leave(number: int, _: FrameType | None) -> None:
    said = "interrupted" if number == signal.SIGINT else "terminated"
    os.write(2, f"replicator: {said} before it began; nothing was done\n".encode())
    os._exit(INTERRUPTED if number == signal.SIGINT else terminated_code(sys.argv[1:]))


def _close(_: int, __: FrameType | None) -> None:
    """End as by SIGTERM; nobody can read what is said any more, and to say it is no failure."""
    null = os.open(os.devnull, os.O_WRONLY)
    for file in (1, 2):
        if stat.S_ISCHR(os.fstat(file).st_mode):  # a closed one is no terminal any more
            os.dup2(null, file)
    os.close(null)
    os.kill(os.getpid(), signal.SIGTERM)


def _unwind(_: int, __: FrameType | None) -> None:
    raise SystemExit(terminated_code(sys.argv[1:]))
