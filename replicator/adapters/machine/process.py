"""This process's identity: host, id and operator."""

import os
import pwd
import socket


def host() -> str:
    """Return this machine's name."""
    return socket.gethostname()


def process_id() -> int:
    """Return this process's id."""
    return os.getpid()


def is_alive(pid: int) -> bool:
    """Return whether this machine has a process with an id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return True


def operator() -> str:
    """Return the user who started this process, as `user@host`; a number for an unnamed user."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{host()}"
