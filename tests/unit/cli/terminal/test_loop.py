"""The event loop of a verb: what one host's name server does not answer holds up no other host."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from replicator.cli.terminal.loop import in_loop

LOOKUPS = """
import asyncio, socket, sys, time
from replicator.cli.terminal.loop import in_loop

silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
silent.bind((sys.argv[1], 53))

async def verb():
    loop = asyncio.get_running_loop()
    slow = [asyncio.ensure_future(loop.getaddrinfo(f"n{n}.example.com", 80)) for n in range(4)]
    await asyncio.sleep(0.1)
    began_s = time.monotonic()
    await loop.getaddrinfo("localhost", 80)
    took_s = time.monotonic() - began_s
    await asyncio.gather(*slow, return_exceptions=True)
    return took_s

print(in_loop(verb) < 0.5)
"""
WITHIN = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


def test_a_name_server_that_does_not_answer_holds_up_no_other_name(tmp_path: Path):
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root has a name server of its own")
    number = os.getpid()
    silent = f"127.77.{number >> 8 & 255}.{number & 255 or 1}"
    servers = tmp_path / "resolv.conf"
    servers.write_text(f"nameserver {silent}\noptions timeout:1 attempts:1\n")
    code = [sys.executable, "-c", LOOKUPS, silent]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", WITHIN, "sh", str(servers), *code],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    if "mount" in done.stderr:
        pytest.skip("no name server of its own here")
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize("host", ["a..example", f"{'a' * 64}.example", "a\u2028.example"])
def test_a_name_that_is_none_is_a_host_that_cannot_be_reached(host: str):
    """As a server may choose it: libraries expect an OSError, and no UnicodeError."""

    async def looked_up() -> None:
        await asyncio.get_running_loop().getaddrinfo(host, 80)

    async def connected() -> None:
        await asyncio.get_running_loop().create_connection(asyncio.Protocol, host, 80)

    for ask in (looked_up, connected):
        with pytest.raises(socket.gaierror, match="is no name of a host"):
            in_loop(ask)
