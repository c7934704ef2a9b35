"""A server in a process of its own: started until it answers, stopped, killed, started again."""

import atexit
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from hashlib import sha256
from itertools import cycle
from pathlib import Path

from tests.servers.tied import tied

LOG_TAIL_CHARS = 3000
POLL_S = 0.1
CHEAP_START = (
    *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"),
    *("-XX:+UnlockDiagnosticVMOptions", "-XX:-BytecodeVerificationRemote"),
    "-XX:-UsePerfData",
)
"""Serial collector and first compiler only, and released classes are not verified: the quickest
start on few cores. And no file in /tmp, where Java keeps its figures whatever TMPDIR says."""


class Server:
    """One process, its words in a log file."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self._command = list(command)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, answers: Callable[[], bool], *, within_s: float) -> None:
        """Start it and wait until it answers."""
        self.launch()
        self.wait(answers, within_s=within_s)

    def launch(self) -> None:
        """Start it and do not wait."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                tied(*self._command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, answers: Callable[[], bool], *, within_s: float) -> None:
        """Wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer in time; the message has its last words.
        """
        assert self._process is not None
        end = time.monotonic() + within_s
        while not answers():
            if self._process.poll() is not None:
                raise RuntimeError(f"it ended with {self._process.returncode}:\n{self._tail()}")
            if time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"it does not answer after {within_s:g} s:\n{self._tail()}")
            time.sleep(POLL_S)

    def stop(self, *, within_s: float = 20.0) -> None:
        """Ask it to end, and kill it when it does not."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once, as a loss of power does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL_CHARS:]


class Jvm(Server):
    """A Java program. Its classes are kept as they are in memory, which halves the next starts.

    JVMs archive the classes of jars alone, and only for one Java and one class path; the first to
    start with these writes the archive once it answers.
    """

    def __init__(self, class_path: str, kept: Path, command: Sequence[str], log: Path) -> None:
        """Take options, main class and arguments as `command`, and the folder of archives."""
        super().__init__((), log)
        name = sha256(f"{class_path} {_java_release()}".encode()).hexdigest()[:12]
        self._archive = kept / f"{name}.jsa"
        self._options = ("-cp", class_path, *command)
        self._archives = False

    def launch(self) -> None:
        self._archives = not self._archive.exists()
        option = "-XX:+RecordDynamicDumpInfo"
        if not self._archives:
            option = f"-XX:SharedArchiveFile={self._archive}"
        self._command = ["java", *CHEAP_START, option, *self._options]
        super().launch()

    def wait(self, answers: Callable[[], bool], *, within_s: float) -> None:
        super().wait(answers, within_s=within_s)
        if self._archives and not self._archive.exists():
            self._archive_classes()

    def _archive_classes(self) -> None:
        new = self._archive.with_suffix(f".{self.pid}")
        subprocess.run(
            ["jcmd", str(self.pid), "VM.cds", "dynamic_dump", str(new)],
            check=False, capture_output=True,
        )  # fmt: skip
        Path(f"/tmp/.java_pid{self.pid}").unlink(missing_ok=True)  # noqa: S108 - Java's own name
        if new.exists():
            new.rename(self._archive)


@cache
def _java_release() -> str:
    """Return what tells this Java from another one."""
    java = Path(shutil.which("java") or "java").resolve()
    release = java.parents[1] / "release"
    return f"{java} {release.read_text() if release.exists() else java.stat().st_mtime_ns}"


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different.

    They are taken below the range from which the system gives ports to outgoing connections, so
    that one which is given back between two starts is not taken by a client meanwhile; and from
    this process's own block, so that another process that runs tests does not take them either.
    """
    found: list[int] = []
    block = _block()
    for _ in range(BLOCK - 1):
        port = next(block)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def is_open(port: int) -> bool:
    """Return whether somebody listens."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


FIRST_PORT, LAST_PORT, BLOCK = 12_000, 32_000, 200


@cache
def _block() -> Iterator[int]:
    """Return ports in turn for ever, of a block whose first one this process holds until its end.

    Held by the system, whoever the user and whatever the folders of another run.
    """
    for first in range(FIRST_PORT, LAST_PORT, BLOCK):
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", first))
        except OSError:
            holder.close()
            continue
        atexit.register(holder.close)  # which holds it until then, too
        return cycle(range(first + 1, first + BLOCK))
    raise RuntimeError("no free block of ports")
