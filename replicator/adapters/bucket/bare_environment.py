"""Keeps obstore from settings that are not in the configuration.

Its stores read every variable that begins with `AWS_` or `AZURE_` before their own arguments, and
no option overrules some of these: an emulator, another endpoint, an encryption, a login that wins
over a configured key. obstore 0.12 has no other way to make a store, so stores are made while these
variables are hidden.
"""

import os
from collections.abc import Collection, Generator
from contextlib import contextmanager
from threading import Lock

PREFIXES = ("AWS_", "AZURE_", "GOOGLE_")
SUFFIX = "_PROXY"
"""Variables of proxies: an option names the proxy, and reqwest would look for another one."""
_one_at_a_time = Lock()


@contextmanager
def bare_environment(*, but: Collection[str] = ()) -> Generator[None]:
    """Hide variables from code outside Python while a store is made.

    `os.environ` does not change, so nothing else in this process sees a difference. The body must
    neither wait nor start a process.

    Args:
        but: Names of the variables that may be read.
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
