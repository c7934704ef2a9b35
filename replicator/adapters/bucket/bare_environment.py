"""Keeps obstore from settings that are not in the configuration.

Its stores read every variable that begins with `AWS_` or `AZURE_` before they look at what they are
given, and some of what is read so cannot be taken back by any option: an emulator, another
endpoint, an encryption, a login that wins over a configured key. obstore 0.12 has no other way to
make a store, so it is made while these variables are not there.
"""

import os
from collections.abc import Collection, Generator
from contextlib import contextmanager
from threading import Lock

PREFIXES = ("AWS_", "AZURE_", "GOOGLE_")
SUFFIX = "_PROXY"
"""An option names the proxy; reqwest would look for one of its own."""
_one_at_a_time = Lock()


@contextmanager
def bare_environment(*, but: Collection[str] = ()) -> Generator[None]:
    """Hide variables from code that is not Python's, for as long as a store is made.

    `os.environ` does not change, so nothing else in this process sees a difference. The body must
    neither wait nor start a process.

    Args:
        but: Names of the variables that are read on purpose.
    """
    with _one_at_a_time:
        hidden = {
            name: value
            for name, value in os.environ.items()
            if name not in but
            and (name.upper().startswith(PREFIXES) or name.upper().endswith(SUFFIX))
        }
        try:
            for name in hidden:
                os.unsetenv(name)
            yield
        finally:
            for name, value in hidden.items():
                os.putenv(name, value)
