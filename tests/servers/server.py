"""A server in a process of its own: started until it answers, stopped, killed, started again."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

LOG_TAIL_CHARS = 3000
POLL_S = 0.1
CHEAP_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
"""Serial collector and first compiler only: the quickest start on few cores."""


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
                self._command,
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


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, all different.

    They are taken below the range from which the system gives ports to outgoing connections, so
    that one which is given back between two starts is not taken by a client meanwhile.
    """
    found: list[int] = []
    for port in range(_begin(), 32_000):
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


_given = 0


def _begin() -> int:
    """Return where to look: another place for each process and each call."""
    global _given  # noqa: PLW0603 - one counter for the process
    _given += 1
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return 20_000 + 4_000 * (worker % 3) + 40 * (_given % 100)
