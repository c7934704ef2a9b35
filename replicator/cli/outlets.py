"""Standard output and error: neither a full disk nor a reader that has ended stops any work.

Otherwise the first log line on a full disk would end `run`, and `restore … | head` would stop half
way. What is lost is reported where something can still be read: by a verb's exit code, by the next
log line, and by `status` for a process that runs on.
"""

import errno
import os
import select
import sys
from io import RawIOBase, TextIOWrapper
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NO_READER: Final = "the program that reads it has ended"
UNWRITTEN: Final = 8
"""Exit code of a verb that did its work, and whose output could not be written."""


class Outlet(RawIOBase):
    """A file descriptor to which writing never fails: what cannot be written is lost."""

    def __init__(self, file: int) -> None:
        self._file = file
        self.fault = ""
        """Why the last writing failed; empty: it did not."""
        self.lost = 0
        """Number of writings that failed since the last one that did not."""
        self.cut_by = ""
        """Why something was lost that a reader waits for; one that has ended waits for nothing."""

    def writable(self) -> bool:
        """Return True."""
        return True

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._file

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self._file)

    def write(self, data: "ReadableBuffer") -> int:
        """Write all of it, or lose the rest."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while left:
                left = left[self._written(left) :]
        except OSError as exc:
            self.lost += 1
            if exc.errno == errno.EPIPE:
                self.fault = NO_READER
            else:
                self.fault = self.cut_by = exc.strerror or str(exc)
        else:
            self.fault, self.lost = "", 0
        return size

    def _written(self, data: memoryview) -> int:
        try:
            return os.write(self._file, data)
        except BlockingIOError:  # another program made the terminal non-blocking
            select.select([], [self._file], [])
            return 0


OUTPUT: Final = Outlet(1)
LOG: Final = Outlet(2)


def open_outlets() -> None:
    """Print and log through the outlets from here on."""
    _fill_closed()
    sys.stdout, sys.stderr = _text(OUTPUT, sys.stdout), _text(LOG, sys.stderr)


def _fill_closed() -> None:
    """Lead closed standard streams nowhere, so that no file that is opened takes their place."""
    while (file := os.open(os.devnull, os.O_RDWR)) <= LOG.fileno():
        pass
    os.close(file)


def _text(outlet: Outlet, before: TextIO | None) -> TextIO:
    encoding, errors = "utf-8", "backslashreplace"
    if before is not None:
        before.flush()
        encoding, errors = before.encoding, before.errors or errors
    return TextIOWrapper(
        cast("BinaryIO", outlet), encoding=encoding, errors=errors, write_through=True
    )
