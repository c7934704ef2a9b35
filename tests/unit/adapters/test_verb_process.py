"""A verb in a process of its own: its document, its text, its progress, and its end with ours."""

import asyncio
import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from replicator.adapters.machine.verb_process import VerbEnded, VerbProcess
from replicator.errors import TransientError

SETTINGS = """
source:
  name: prod
  metadata: {{type: postgresql, url: "postgresql://nobody@127.0.0.1:{port}/druid"}}
  deep_storage: {{type: local, root: {folder}}}
log: {{type: sqlite, path: {folder}/prod.log}}
"""


def process(*arguments: str, bytes_max: int = 1 << 20) -> VerbProcess:
    environ = {"PATH": os.environ["PATH"], "COLUMNS": "80"}
    return VerbProcess(arguments, environ, document_bytes_max=bytes_max)


def open_files() -> list[str]:
    return sorted(one.name for one in Path("/proc/self/fd").iterdir())


async def run(one: VerbProcess) -> VerbEnded:
    told: list[Mapping[str, Any]] = []
    async with asyncio.timeout(120):
        return await one.run(told.append)


async def test_a_verb_hands_over_its_document_and_its_text_at_once(tmp_path: Path):
    missing = tmp_path / "none.yaml"
    ended = await run(process("config", "validate", f"--config={missing}"))
    assert ended.code == 2
    assert ended.document is not None
    assert ended.document["error"]["type"] == "ConfigError"
    assert str(missing) in ended.document["error"]["message"]
    assert ended.stderr.startswith("replicator: ")
    assert ended.stdout == ""


async def test_a_document_that_is_too_large_is_told_as_such(tmp_path: Path):
    missing = tmp_path / "none.yaml"
    ended = await run(process("config", "validate", f"--config={missing}", bytes_max=64))
    assert (ended.document, ended.too_large) == (None, True)


@pytest.mark.parametrize("how", ["the service ends", "the service is asked to end it"])
async def test_a_process_ends_with_its_service(tmp_path: Path, how: str):
    """What hangs at a silent server as well; and after SIGTERM it says nothing of a result."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        file = tmp_path / "replicator.yaml"
        file.write_text(SETTINGS.format(port=server.getsockname()[1], folder=tmp_path))
        one = process("watch", "--once", f"--config={file}")
        running = asyncio.create_task(run(one))
        async with asyncio.timeout(60):
            connection, _ = await asyncio.to_thread(server.accept)
        with connection:
            assert one._process is not None
            assert one._process.stdin is not None
            if how == "the service ends":
                one._process.stdin.close()  # as the kernel does when it is killed
            else:
                one.terminate()
            ended = await running
    assert (ended.code, ended.document) == (143, None)


async def test_a_machine_that_is_short_of_files_is_told_as_such(monkeypatch: pytest.MonkeyPatch):
    """Jobs run beside replication: what cannot be started must not end the service."""

    def short(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    before = open_files()
    monkeypatch.setattr(asyncio, "create_subprocess_exec", short)
    with pytest.raises(TransientError, match="Too many open files"):
        await run(process("config", "validate"))
    assert open_files() == before
    monkeypatch.setattr(os, "pipe", short)
    with pytest.raises(TransientError, match="cannot be started"):
        await run(process("config", "validate"))
