"""Reports of a verb to the service that runs it as a job: progress, and the document at the end.

A service starts a verb with one end of a pipe (`adapters/machine/verb_process.py`). Without the
pipe, on a terminal, nothing is reported.
"""

import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import orjson

from replicator.model.operations.command_line import CHANNEL

if TYPE_CHECKING:
    from replicator.model.observation import Progress

STDIN: Final = 0
INTERVAL_S: Final = 0.5
"""Shortest time between two progress lines of a step; its first and last are always sent."""


class JobChannel:
    """The writing end of the pipe."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._what, self._next_s = "", 0.0

    def progress(self, made: "Progress") -> None:
        """Report the verb's progress, at intervals."""
        now_s, ends = time.monotonic(), made.total is not None and made.done >= made.total
        if made.what == self._what and now_s < self._next_s and not ends:
            return
        self._what, self._next_s = made.what, now_s + INTERVAL_S
        values = {"what": made.what, "done": made.done, "total": made.total, "unit": made.unit}
        self._write({"progress": values})

    def document(self, document: bytes) -> None:
        """Send the document that `--json` prints."""
        # A message is one line, and the document has many.
        self._write({"document": orjson.Fragment(orjson.dumps(orjson.loads(document)))})

    def _write(self, message: Mapping[str, Any]) -> None:
        data = memoryview(orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE))
        with suppress(BrokenPipeError):  # the service is gone, and this process ends as well
            while data:
                data = data[os.write(self._descriptor, data) :]


_found: list[JobChannel | None] = []


def job_channel() -> JobChannel | None:
    """Return the pipe to the service that has started this process; None on a terminal."""
    if not _found:
        # Taken out: the processes that this one starts have no business with the pipe.
        number = os.environ.pop(CHANNEL, "")
        _found.append(JobChannel(int(number)) if number.isdecimal() else None)
        if _found[0] is not None:
            os.set_inheritable(int(number), False)
            threading.Thread(target=_end_with_the_service, daemon=True).start()
    return _found[0]


def _end_with_the_service() -> None:
    """Stop this verb when the service ends, which closes its end of standard input."""
    with suppress(OSError):
        while os.read(STDIN, 1):  # `sys.stdin` has a lock, and to hold it at the exit is fatal
            pass
    os.kill(os.getpid(), signal.SIGTERM)
