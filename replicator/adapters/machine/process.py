"""This process, as others know it."""

import os
import pwd
import socket


def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def process_id() -> int:
    """Return the number of this process on it."""
    return os.getpid()


def operator() -> str:
    """Return who started this process, as `user@host`; the user's number where it has no name."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{host()}"
