"""The service as a real process, killed in each state of a job: the next start says what became."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from replicator.cli.demo.recording import steps
from replicator.cli.demo.sandbox import stage
from tests.control_client import client
from tests.control_client.client.api.druid import (
    create_cluster,
    get_task_status,
    submit_task,
    update_metadata,
)
from tests.control_client.client.models import (
    ClusterRequest,
    CopyTask,
    MetadataUpdateRequest,
    TaskStatusView,
    TaskView,
)

CONFIG = """
source:
  name: prod
  metadata: {{type: postgresql, url: "postgresql://nobody@127.0.0.1:{port}/druid"}}
  deep_storage: {{type: local, root: {folder}/source}}
log: {{type: sqlite, path: {folder}/prod.log}}
targets:
  standby: {{deep_storage: {{type: local, root: {folder}/standby}}}}
web:
  control: {{listen: "127.0.0.1:0", jobs: {{running_max: 1}}}}
"""
SERVING = "serving the control API url="
START_S = 120.0


@contextmanager
def silent_server() -> Iterator[int]:
    """A port that takes connections and never says a word, as a machine does that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


class Service:
    """`replicator serve`."""

    def __init__(self, config: Path) -> None:
        self.log = config.with_name("serve.log")
        self.log.write_text("")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "replicator", "serve", "-c", str(config)],
                stdout=log,
                stderr=log,
            )

    async def url(self) -> str:
        async with asyncio.timeout(START_S):
            while SERVING not in self.log.read_text():
                assert self.process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.1)
        return self.log.read_text().partition(SERVING)[2].split()[0]

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)


def replicator(config: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "replicator", *arguments, "-c", str(config)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


async def asked(url: str, token: str, method: str, path: str, body: object = None) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = Request(url + path, data, headers, method=method)  # noqa: S310 - our own
    return await asyncio.to_thread(lambda: json.load(urlopen(request, timeout=60)))  # noqa: S310


def children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(one) for one in found.stdout.split()]


def works(pid: int) -> bool:
    """Return whether a process still does something; what nobody waited for has no command."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_a_service_that_is_killed_in_each_state_of_a_job_says_what_became_of_it(
    tmp_path: Path,
):
    config = tmp_path / "replicator.yaml"
    for name in ("source", "standby"):
        (tmp_path / name).mkdir()
    with silent_server() as port:
        config.write_text(CONFIG.format(folder=tmp_path, port=port))
        token = replicator(config, "token", "create", "operator", "--role", "operator")
        service = Service(config)
        try:
            url = await service.url()
            done = await asked(url, token, "POST", "/v1/jobs?wait=30", {"verb": "drill list"})
            hanging = await asked(url, token, "POST", "/v1/jobs", {"verb": "watch"})
            waiting = await asked(url, token, "POST", "/v1/jobs", {"verb": "check"})
            async with asyncio.timeout(60):
                while not (running := children(service.process.pid)):
                    await asyncio.sleep(0.05)
        finally:
            service.end(signal.SIGKILL)
        service = Service(config)
        try:
            url = await service.url()
            assert not [pid for pid in running if works(pid)], "it was left"
            jobs = (await asked(url, token, "GET", "/v1/jobs"))["jobs"]
            assert [(one["id"], one["state"], one["why"]) for one in jobs] == [
                (waiting["id"], "interrupted", "the service ended before it was begun"),
                (hanging["id"], "interrupted", "the service ended while it ran"),
                (done["id"], "done", ""),
            ]
            kept = await asked(url, token, "GET", f"/v1/jobs/{done['id']}")
            assert kept["document"]["result"]["drills"] == []
            again = await asked(url, token, "POST", f"/v1/jobs/{hanging['id']}/again")
            await asked(url, token, "POST", f"/v1/jobs/{again['id']}/cancel")
            found = await asked(url, token, "GET", f"/v1/jobs/{again['id']}?wait=30")
            assert (found["state"], found["again"]) == ("cancelled", hanging["id"])
        finally:
            assert service.end(signal.SIGTERM) == 0, service.log.read_text()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that also the user may enter as whom root starts PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="control-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


ARTICLE = """
web:
  control: {listen: "127.0.0.1:0"}
"""


@pytest.mark.long
@pytest.mark.real
@pytest.mark.timeout(600)
async def test_a_second_program_makes_the_calls_of_the_article_and_finds_the_data(
    open_folder: Path,
):
    """The client that is made of the document, over a real PostgreSQL and a recorded Druid."""
    folder = open_folder
    async with stage(folder, keep=False) as found:
        with found.config.open("a") as config:
            config.write(ARTICLE)
        first, *_ = steps().values()
        await found.druid.play(first)
        token = replicator(found.config, "token", "create", "a", "--role", "admin")
        service = Service(found.config)
        try:
            url = await service.url()
            async with client.AuthenticatedClient(base_url=url, token=token) as asks:
                made = await create_cluster.asyncio(
                    client=asks, body=ClusterRequest(cluster_name="standby"), wait=60.0
                )
                assert isinstance(made, TaskView), made
                copy = CopyTask(type_="copy", data_source="wikipedia", target_cluster="standby")
                copied = await submit_task.asyncio(client=asks, body=copy, wait=60.0)
                assert isinstance(copied, TaskView), copied
                updated = await update_metadata.asyncio(
                    client=asks, body=MetadataUpdateRequest(target_cluster="standby"), wait=60.0
                )
                assert isinstance(updated, TaskView), updated
                async with asyncio.timeout(120):
                    while True:
                        status = await get_task_status.asyncio(id=updated.task, client=asks)
                        assert isinstance(status, TaskStatusView)
                        if status.status.status != "RUNNING":
                            break
                        await asyncio.sleep(0.5)
            assert status.status.status == "SUCCESS"
            assert await found.is_followed()
            assert list((folder / "standby-segments" / "wikipedia").rglob("version.bin"))
        finally:
            assert service.end(signal.SIGTERM) == 0, service.log.read_text()
