"""A mount that answers nothing, like NFS whose server is gone: each call below it waits."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers.disk import GUARD

NO_SUID_NO_DEVICES = 6
DETACH = 2
SYSTEM = ctypes.CDLL(None, use_errno=True)


@contextmanager
def hung_mount(folder: Path) -> Iterator[bool]:
    """Lay it over a folder; gives whether that is possible here: only root can mount.

    FUSE without anybody who answers. At the end whatever waits gets an error.
    """
    asked = -1
    with suppress(OSError):
        asked = os.open("/dev/fuse", os.O_RDWR)
    if asked < 0:
        yield False
        return
    said = f"fd={asked},rootmode=40000,user_id=0,group_id=0".encode()
    guard = subprocess.Popen(
        ["/bin/sh", "-c", GUARD, "sh", "umount", str(folder), ""],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield SYSTEM.mount(b"hung", bytes(folder), b"fuse", NO_SUID_NO_DEVICES, said) == 0
    finally:
        SYSTEM.umount2(bytes(folder), DETACH)
        os.close(asked)
        guard.communicate()
