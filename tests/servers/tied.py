"""Commands whose processes end with the process that starts them, however that ends."""

import ctypes
import signal
from collections.abc import Sequence
from typing import Final

PR_SET_PDEATHSIG: Final = 1
"""Of prctl(2)."""


def tied(*command: str) -> Sequence[str]:
    """Return the command as one that is killed with its parent, and ignores no signal.

    It keeps its process id. A shell starts what runs in its background with SIGINT ignored, and a
    child inherits that: a test that sends one would wait for ever. The parent is the thread that
    starts it, so that one has to live as long (prctl(2), PR_SET_PDEATHSIG).
    """
    return ("env", "--default-signal", "setpriv", "--pdeathsig", "KILL", "--", *command)


def tie_this_process() -> None:
    """Do the same for this process, whose parent has forked it and is still there.

    A change of the user takes it away.
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
