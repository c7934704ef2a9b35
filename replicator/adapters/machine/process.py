"""This process, as others know it."""

import os
import socket


def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()


def process_id() -> int:
    """Return the number of this process on it."""
    return os.getpid()
