"""A pytest plugin by which nothing outlives a test: no process, no listening port, no folder.

A test that leaves something fails at its teardown, in which what it left is named and removed.
What a fixture of a wider scope starts belongs to that fixture, and has to be gone with it.

Every process that runs tests adopts the orphans among its descendants (prctl(2),
PR_SET_CHILD_SUBREAPER), so that none is out of sight, whatever its environment and its session.
It has a folder for temporary files of its own, so that two runs at once never see each other's.
"""

import ctypes
import fcntl
import gc
import os
import shutil
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

PR_SET_CHILD_SUBREAPER: Final = 36
"""Of prctl(2)."""
ENDING_MAX_S: Final = 5.0
"""How long what is about to end may take: a worker whose owner was killed reads that first."""
KILLING_MAX_S: Final = 30.0
POLL_S: Final = 0.01
STARTING_MAX_S: Final = 1.0
"""How long a process that begins may show no command; nearly all do within a millisecond."""
COMMAND_CHARS: Final = 200
PASSABLE: Final = 0o711
"""Of a folder that a PostgreSQL started by root gets through, as another user."""
RUN_FOLDER: Final = "replicator-run-"
LOCKED_WITHIN_S: Final = 60.0
"""How long after it is made a run's folder may not be locked yet."""
KERNEL_LISTS_CHILDREN: Final = Path("/proc/thread-self/children").exists()
"""Linux can be built without; then every process is looked at."""
FORKING: Final = "tests.servers.process"
"""An interpreter that may live long, while each of its forks belongs to a test."""


class Process(NamedTuple):
    """One process; its start tells it from a later one with the same id."""

    pid: int
    started: str


class Run:
    """The folder of one run, locked while that lives; what killed runs have left is removed."""

    def __init__(self, parent: Path) -> None:
        for left in parent.glob(f"{RUN_FOLDER}*"):
            _remove_unless_locked(left)
        self.folder = Path(tempfile.mkdtemp(prefix=RUN_FOLDER, dir=parent))
        self.folder.chmod(PASSABLE)
        self._lock = os.open(self.folder, os.O_RDONLY)
        fcntl.flock(self._lock, fcntl.LOCK_EX)


def _remove_unless_locked(folder: Path) -> None:
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # gone meanwhile, or another user's
        return
    try:
        age_s = time.time() - os.fstat(lock).st_mtime  # noqa: TID251 - a file's time is the system's
        if age_s > LOCKED_WITHIN_S:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        pass
    finally:
        os.close(lock)


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is beside the tests' own process."""

    processes: frozenset[Process] = frozenset()
    ports: frozenset[int] = frozenset()
    temporary: frozenset[str] = frozenset()


@dataclass
class Guard:
    """Looks after one process that runs tests."""

    folder: Path
    """Of its temporary files."""
    fixtures: dict[object, Seen] = field(default_factory=dict)
    """What each fixture of a wide scope that lives has started."""
    _commands: dict[Process, str] = field(default_factory=dict)
    """Of the processes of those."""
    _told: set[int] = field(default_factory=set)
    """Ports that a test failed for: nothing but that test's own objects can close them."""

    def seen(self) -> Seen:
        """Return what there is now; a process that lives has its descendants with it."""
        return Seen(
            frozenset(self._processes()),
            frozenset(_listening()),
            frozenset(path.name for path in self.folder.iterdir()),
        )

    def starts(self, fixture: object, before: Seen) -> None:
        """Note what a fixture has started since."""
        now = self.seen()
        own = Seen(
            now.processes - before.processes,
            now.ports - before.ports,
            now.temporary - before.temporary,
        )
        self.fixtures[fixture] = own
        self._commands |= {one: _command(one.pid) for one in own.processes}

    def ends(self, fixture: object) -> None:
        """Forget a fixture: from now on all of its own has to be gone."""
        for one in self.fixtures.pop(fixture, Seen()).processes:
            self._commands.pop(one, None)

    def left(self) -> list[str]:
        """End and remove what belongs to nobody, and return it in words."""
        if not (found := self._strays()):
            return []
        gc.collect()
        end = time.monotonic() + ENDING_MAX_S
        while (found := self._strays()) and time.monotonic() < end:
            time.sleep(POLL_S)
        self._remove()
        self._told |= _listening()
        return found

    def _strays(self) -> list[str]:
        now, kept = self.seen(), list(self.fixtures.values())
        ports = now.ports.difference(self._told, *(one.ports for one in kept))
        names = now.temporary.difference(*(one.temporary for one in kept))
        return [
            *(f"process {one.pid}: {_command(one.pid)}" for one in sorted(now.processes)),
            *(f"a socket that listens on port {port}" for port in sorted(ports)),
            *(f"temporary {self.folder / name}" for name in sorted(names)),
        ]

    def _remove(self) -> None:
        end = time.monotonic() + KILLING_MAX_S
        while (strays := self._processes()) and time.monotonic() < end:
            for one in strays:
                with suppress(ProcessLookupError):
                    os.kill(one.pid, signal.SIGKILL)
            time.sleep(POLL_S)
        kept = frozenset[str]().union(*(one.temporary for one in self.fixtures.values()))
        for path in self.folder.iterdir():
            if path.name not in kept:
                is_folder = path.is_dir() and not path.is_symlink()
                shutil.rmtree(path) if is_folder else path.unlink()

    def _processes(self) -> set[Process]:
        """Return our descendants that belong to no fixture, and reap what ended unnoticed."""
        if not _has_children():
            return set()
        found: set[Process] = set()
        parents = [os.getpid()]
        while parents:
            running, ended = _children(parents.pop())
            for one in running:
                if not self._is_kept(one):
                    found.add(one)
                    parents.append(one.pid)
                elif FORKING in self._commands[one]:
                    parents.append(one.pid)
            for pid in ended - {one.pid for one in self._commands}:
                with suppress(ChildProcessError):  # only our own are ours to reap
                    os.waitpid(pid, os.WNOHANG)
        return found

    def _is_kept(self, one: Process) -> bool:
        """Return whether a fixture started it, or what ran before it with the same command."""
        if one in self._commands:
            return True
        command = _command(one.pid)
        if not command or command not in self._commands.values():
            return False
        self._commands[one] = command
        return True


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children(parent: int) -> tuple[set[Process], set[int]]:
    """Return a process's children that run, and those that have ended and are not yet reaped."""
    running: set[Process] = set()
    ended: set[int] = set()
    for pid in _listed(parent) if KERNEL_LISTS_CHILDREN else _all_pids():
        words = _stat(pid)
        if not words or int(words[1]) != parent:
            continue
        if _has_ended(words):
            ended.add(pid)
        else:
            running.add(Process(pid, words[19].decode()))
    return running, ended


def _stat(pid: int) -> list[bytes]:
    """Return the fields of a process after its name: state, parent …; none when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _has_ended(words: list[bytes]) -> bool:
    return not words or words[0] in {b"Z", b"X"}


def _listed(parent: int) -> list[int]:
    """Ask the kernel for the children of each thread; this is looked at after every test."""
    found: list[int] = []
    with suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile
        for thread in Path(f"/proc/{parent}/task").iterdir():
            found += map(int, (thread / "children").read_bytes().split())
    return found


def _all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _command(pid: int) -> str:
    """Return what a process runs, or nothing when it has ended.

    Linux lets the parent go on before the child's new memory says its arguments: read at once,
    /proc/PID/cmdline is empty for one start in five.
    """
    end = time.monotonic() + STARTING_MAX_S
    while not (command := _arguments(pid)) and time.monotonic() < end:
        if _has_ended(_stat(pid)):
            return ""
        time.sleep(POLL_S / 10)
    return command


def _arguments(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return " ".join(words).strip()


def _listening() -> set[int]:
    """Return the ports that this process itself listens on."""
    found: set[int] = set()
    for link in os.scandir("/proc/self/fd"):  # after every test: paths would take ten times as long
        descriptor = int(link.name)
        try:
            if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                continue
            with socket.socket(fileno=os.dup(descriptor)) as one:
                inet = one.family in {socket.AF_INET, socket.AF_INET6}
                if inet and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    found.add(int(one.getsockname()[1]))
        except OSError:  # closed meanwhile
            continue
    return found


# ------------------------------------------------------------------------------------------ hooks

GUARD: Final = pytest.StashKey[Guard]()
RUN: Final = pytest.StashKey["Run"]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the run a folder for temporary files, and each of its processes one in that."""
    if hasattr(config, "workerinput"):
        folder = Path(tempfile.gettempdir()).with_name(os.environ["PYTEST_XDIST_WORKER"])
    else:
        # pytest's own folders stay where they are: the next run looks for them there
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
        config.stash[RUN] = Run(Path(tempfile.gettempdir()))
        folder = config.stash[RUN].folder / "main"
    folder.mkdir()
    folder.chmod(PASSABLE)
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None  # it is read again
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    config.stash[GUARD] = Guard(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the run's folder."""
    if RUN in config.stash:
        shutil.rmtree(config.stash[RUN].folder)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Know what belongs to a fixture that outlives a test."""
    if fixturedef.scope == "function":
        return (yield)
    guard = request.config.stash[GUARD]
    before = guard.seen()
    found = yield
    guard.starts(fixturedef, before)
    return found


def pytest_fixture_post_finalizer(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> None:
    """Let go what it started."""
    request.config.stash[GUARD].ends(fixturedef)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test, when all its fixtures are gone, for what it left."""
    try:
        return (yield)
    finally:
        if left := item.config.stash[GUARD].left():
            pytest.fail(_said(item.nodeid, left), pytrace=False)


def _said(test: str, left: Iterable[str]) -> str:
    return "\n".join([f"{test} left behind:", *(f"  {one[:COMMAND_CHARS]}" for one in left)])
