"""What a test leaves is named, with the test, and removed; what belongs to a fixture stays."""

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import leaks

pytest_plugins = ["pytester"]

PROJECT = Path(__file__).parents[3]
PATIENCE = """
from tests import leaks
leaks.ENDING_MAX_S = 0.2
pytest_plugins = ["tests.leaks"]
"""
LEAVING = """
import signal, socket, subprocess, tempfile, time
from pathlib import Path
import pytest
from tests import leaks

LEFT = []

def sleeper(seconds):
    LEFT.append(subprocess.Popen(["sleep", str(seconds)]))
    return LEFT[-1]

@pytest.fixture(scope="session")
def server(tmp_path_factory):
    tempfile.mkdtemp(prefix="of-the-server-")
    process = sleeper(1001)
    yield process
    process.kill()
    process.wait()
    for path in Path(tempfile.gettempdir()).glob("of-the-server-*"):
        path.rmdir()

@pytest.fixture(scope="session")
def careless():
    return sleeper(1002)

def test_leaves_a_process():
    sleeper(1003)

def test_leaves_an_orphan_in_a_session_of_its_own_without_environment():
    subprocess.run("sleep 1004 & exit", shell=True, start_new_session=True, env={})

def test_leaves_a_port():
    LEFT.append(socket.create_server(("127.0.0.1", 0)))

def test_leaves_a_folder():
    Path(tempfile.mkdtemp(prefix="left-")).joinpath("file").touch()

def test_leaves_nothing(server, tmp_path):
    tempfile.TemporaryDirectory().cleanup()
    (tmp_path / "file").touch()
    assert server.poll() is None

def test_restarts_the_server_and_leaves_nothing(server):
    server.kill()
    server.wait()
    sleeper(1001)

def test_leaves_what_is_about_to_end():
    leaks.ENDING_MAX_S = 60
    subprocess.Popen(["sleep", "0.05"])

def test_is_the_last(careless):
    leaks.ENDING_MAX_S = 0.2
    assert LEFT[-2].args == ["sleep", "1001"] and LEFT[-2].poll() is None
    LEFT[-2].kill()
"""
MOUNTING = """
import sys, time
from pathlib import Path
from tests.servers.disk import Disk
print(Disk(Path(sys.argv[1]), Path(sys.argv[2])).make(), flush=True)
time.sleep(1006)
"""
UNMOUNTED_WITHIN_S = 30.0


@pytest.fixture
def alive() -> Iterator[Path]:
    """Yield the folder of a run that is long under way, beside that of one that was killed."""
    dead, alive = (
        Path(os.environ["TMPDIR"], f"replicator-run-{name}") for name in ("dead", "alive")
    )
    for folder in (dead, alive):
        folder.mkdir()
        os.utime(folder, (0, 0))
    lock = os.open(alive, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield alive
    os.close(lock)
    alive.rmdir()


def test_what_is_left_fails_the_test_by_name_and_is_gone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, alive: Path
):
    """Only what a test's own fixtures do not end; a server of the session stays until its end.

    That no process is left is seen by this test's own guard. What a killed run left goes first.
    """
    monkeypatch.setenv("PYTHONPATH", str(PROJECT), prepend=os.pathsep)
    pytester.makeconftest(PATIENCE)
    pytester.makepyfile(test_leaving=LEAVING)
    before = set(alive.parent.iterdir())

    found = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:asyncio", "-q")

    found.assert_outcomes(passed=8, errors=5)
    for test, left in {
        "process": "  process *: sleep 1003",
        "an_orphan_in_a_session_of_its_own_without_environment": "  process *: sleep 1004",
        "a_port": "  a socket that listens on port *",
        "a_folder": "  temporary */left-*",
    }.items():
        name = test if test.startswith("a") else f"a_{test}"
        found.stdout.fnmatch_lines([f"test_leaving.py::test_leaves_{name} left behind:", left])
    found.stdout.fnmatch_lines(
        ["test_leaving.py::test_is_the_last left behind:", "  process *: sleep 1002"]
    )
    assert set(alive.parent.iterdir()) == before - {alive.with_name("replicator-run-dead")}


def test_a_process_that_has_just_been_started_shows_its_command():
    """By that command a fixture's server is known; the kernel has it a moment after the start."""
    for _ in range(50):
        with subprocess.Popen(["sleep", "1005"]) as process:
            shown = leaks._command(process.pid)
            process.kill()
        assert (shown, leaks._command(process.pid)) == ("sleep 1005", "")


def test_a_disk_is_unmounted_when_the_run_that_made_it_is_killed(tmp_path: Path):
    folder, image = tmp_path / "disk", tmp_path / "image"
    with subprocess.Popen(
        [sys.executable, "-c", MOUNTING, str(folder), str(image)],
        stdout=subprocess.PIPE, text=True, cwd=PROJECT,
    ) as killed:  # fmt: skip
        assert killed.stdout is not None
        made = killed.stdout.readline()
        was_mounted = folder.is_mount()
        killed.kill()
    if made == "False\n":
        pytest.skip("only root can mount a disk")
    assert was_mounted
    end = time.monotonic() + UNMOUNTED_WITHIN_S
    while (folder.is_mount() or image.exists()) and time.monotonic() < end:
        time.sleep(0.01)
    assert not folder.is_mount()
    assert not image.exists()
