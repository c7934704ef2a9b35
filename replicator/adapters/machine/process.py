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


def is_alive(pid: int) -> bool:
    """Return whether this machine has a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user
    return True


def operator() -> str:
    """Return who started this process, as `user@host`; the user's number where it has no name."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{host()}"
