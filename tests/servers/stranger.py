"""Another user of the same machine, who looks for what a server of ours gives away."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.servers.tied import tied

USER_ID = 65534
"""Nobody's on every Linux."""
FLAGS = ("-I", "-S")
PROBE = r"""
import json, os, socket, struct, sys

given = json.load(sys.stdin)
got = {}

def tries(what, call):
    try:
        got[what] = str(call())
    except OSError:
        pass

def read(path):
    with open(path, "rb") as file:
        return file.read(1000)

def asked(connection):
    # the start of a session (PostgreSQL's protocol 3.0): its answer says what a login takes
    words = b"user\0druid\0database\0druid\0\0"
    connection.sendall(struct.pack("!ii", 8 + len(words), 196608) + words)
    answer = connection.recv(9)
    kind = struct.unpack("!i", answer[5:9])[0] if answer[:1] == b"R" else None
    if kind == 0:
        raise SystemExit("somebody was let in without a word")
    return answer

def connected(family, address):
    with socket.socket(family) as connection:
        connection.settimeout(5)
        connection.connect(address)
        return asked(connection)

for path in given["files"]:
    tries(path, lambda: read(path))
for path in given["folders"]:
    tries(path, lambda: os.listdir(path))
for pid in given["pids"]:
    tries(f"environ of {pid}", lambda: read(f"/proc/{pid}/environ"))
for path in given["sockets"]:
    tries(path, lambda: connected(socket.AF_UNIX, path))
for port in given["ports"]:
    tries(f"port {port}", lambda: connected(socket.AF_INET, ("127.0.0.1", port)))
print(json.dumps(got))
"""


def gets(
    *,
    below: Path,
    pids: Iterable[int] = (),
    ports: Iterable[int] = (),
) -> dict[str, Any]:
    """Return what another user gets: files, folders, sockets, environments and logins by name.

    Args:
        below: The folder whose content is tried, every file, folder and socket by its exact name.
        pids: Processes whose environment is tried.
        ports: Where a login is tried; one that asks for a password counts as got.
    """
    python = Path(sys.executable).resolve()
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    if _as_stranger(str(python), *FLAGS, "-c", "pass").returncode:
        pytest.skip(f"another user cannot run {python}")
    found = sorted(below.rglob("*"))
    assert found, "there is nothing to look for"
    given = {
        "files": [str(path) for path in found if path.is_file()],
        "folders": [str(path) for path in (below, *found) if path.is_dir()],
        "sockets": [str(path) for path in found if path.is_socket()],
        "pids": list(pids),
        "ports": list(ports),
    }
    ended = _as_stranger(str(python), *FLAGS, "-c", PROBE, told=json.dumps(given))
    assert ended.returncode == 0, ended.stderr
    got: dict[str, Any] = json.loads(ended.stdout)
    return got


def _as_stranger(*command: str, told: str = "") -> "subprocess.CompletedProcess[str]":
    """Run a command as another user; what it is told may be longer than an argument can be."""
    setpriv = shutil.which("setpriv") or "setpriv"
    user = (f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups")
    return subprocess.run(
        tied(setpriv, *user, "--", *command),
        input=told,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
