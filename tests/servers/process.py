"""The command line as real processes, quick enough to be killed a hundred times.

A new interpreter needs seconds to import everything. So one is started that has imported it all,
also what a command imports only when it needs it, and forks for each command: what runs is a
process of its own with its own signals, files and exit code, only its imports are older, and the
schemas of settings and documents, which take two thirds of what else a command does. `fresh` starts
a new interpreter instead, as a user does; the commands that this one starts may be forks, by a
program that stands in for Python's.
"""

import asyncio
import gc
import importlib
import json
import os
import pkgutil
import pwd
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any

import replicator
from replicator.config.values import Section
from replicator.model.document import Shape
from tests.servers.tied import tie_this_process, tied

PROJECT = Path(__file__).resolve().parents[2]
NOBODY = "nobody"
STAND_IN = """\
#!{python} -IS
import json, os, signal, socket, sys
assert sys.argv[1:3] == ["-m", "replicator"], sys.argv
request = {{"args": sys.argv[3:], "env": dict(os.environ), "folder": os.getcwd()}}
os.chdir({folder!r})  # the name of a socket has a limit
with socket.socket(socket.AF_UNIX) as forking:
    forking.connect({address!r})
    socket.send_fds(forking, [b"!"], [0, 1, 2])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: forking.send(bytes([number])))
    forking.sendall(json.dumps(request).encode() + b"\\n")
    code = int(forking.recv(10))
sys.exit(code if code >= 0 else 128 - code)
"""
"""Looks like Python to whoever starts `python -m replicator` by it, and has it forked."""
STAND_IN_NAME, ADDRESS = "python", "forking"
STARTING_BY = """\
import runpy, sys
sys.executable = {!r}
runpy.run_module("replicator", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a command said and how it ended; a negative code is the signal that killed it."""

    code: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """What it printed with --json: its result, or its error."""
        document: dict[str, Any] = json.loads(self.out)
        assert document["schema"] == "replicator.v1"
        assert document["command"]
        assert document["generated_at"]
        found: dict[str, Any] = document.get("result") or document["error"]
        return found


class Running:
    """One process."""

    def __init__(self, pid: int, ended: "Future[int]", folder: Path) -> None:
        self.pid = pid
        self._ended = ended
        self._folder = folder

    @property
    def is_running(self) -> bool:
        return not self._ended.done()

    @property
    def out(self) -> str:
        return (self._folder / "out").read_text()

    @property
    def err(self) -> str:
        """What it has written to stderr."""
        return (self._folder / "err").read_text()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended; its id stays its own until `ended` knows of it."""
        if self.is_running:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass  # it ended a moment ago and its parent knows, we do not yet

    async def ended(self, *, within_s: float = 60.0) -> Ended:
        """Wait for its end; whoever does not wait any longer can still kill it, and ask again."""
        async with asyncio.timeout(within_s):
            code = await asyncio.shield(asyncio.wrap_future(self._ended))
        return Ended(code=code, out=self.out, err=self.err)

    async def kill(self) -> Ended:
        self.signal(signal.SIGKILL)
        return await self.ended()

    async def terminate(self) -> Ended:
        self.signal(signal.SIGTERM)
        return await self.ended()

    async def says(self, text: str, *, times: int = 1, within_s: float = 30.0) -> None:
        """Wait until it has written this to stderr."""
        try:
            async with asyncio.timeout(within_s):
                while self.err.count(text) < times:
                    if not self.is_running:
                        raise AssertionError(f"it ended without saying {text!r}:\n{self.err}")
                    await asyncio.sleep(0.01)
        except TimeoutError as exc:
            raise AssertionError(
                f"it has not said {text!r} within {within_s:g} s:\n{self.err}"
            ) from exc


class Processes:
    """Starts commands; the ones still running are killed at the end."""

    def __init__(self, parent: "subprocess.Popen[str]", folder: Path) -> None:
        self._parent = parent
        self._folder = folder
        self.stand_in = folder / STAND_IN_NAME
        """A program that is started as Python with `-m replicator`, and has that forked."""
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._started: dict[int, Future[int]] = {}
        self._ended: dict[int, Future[int]] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    async def start(
        self,
        *args: str,
        env: Mapping[str, str] | None = None,
        file_bytes_max: int | None = None,
        user: str | None = None,
        stdin: str = os.devnull,
        terminal: str | None = None,
        clock_file: Path | None = None,
    ) -> Running:
        """Start `replicator` with these arguments.

        Args:
            args: Verb and options.
            env: Variables beside those of this process.
            file_bytes_max: Largest file that it may write.
            user: Who it runs as.
            stdin: What it reads.
            terminal: What it has for input, output and errors instead of files.
            clock_file: Its wall clock is wrong by as many seconds as this file says at the moment.
        """
        number = next(self._numbers)
        folder = self._folder / str(number)
        folder.mkdir()
        for name in ("out", "err"):
            (folder / name).touch()  # here: a child may be killed before it has opened them
        request = {
            "number": number,
            "args": args,
            "env": dict(os.environ) | dict(env or {}),
            "folder": str(folder),
            "file_bytes_max": file_bytes_max,
            "user": user,
            "stdin": stdin,
            "terminal": terminal,
            "clock_file": None if clock_file is None else str(clock_file),
        }
        with self._lock:
            self._started[number], self._ended[number] = Future(), Future()
            assert self._parent.stdin is not None
            self._parent.stdin.write(json.dumps(request) + "\n")
            self._parent.stdin.flush()
        async with asyncio.timeout(120):
            pid = await asyncio.wrap_future(self._started[number])
        return Running(pid, self._ended[number], folder)

    async def run(self, *args: str, within_s: float = 60.0, **options: Any) -> Ended:
        """Run `replicator` to its end."""
        running = await self.start(*args, **options)
        try:
            return await running.ended(within_s=within_s)
        finally:
            running.signal(signal.SIGKILL)

    def _listen(self) -> None:
        assert self._parent.stdout is not None
        for line in self._parent.stdout:
            told = json.loads(line)
            futures = self._ended if told["what"] == "ended" else self._started
            futures[told["number"]].set_result(told["value"])


async def fresh(
    *args: str,
    within_s: float = 60.0,
    env: Mapping[str, str] | None = None,
    stand_in: Path | None = None,
) -> Ended:
    """Run `replicator` in a new interpreter, which takes another program for Python if given."""
    program = (
        ("-m", "replicator") if stand_in is None else ("-c", STARTING_BY.format(str(stand_in)))
    )
    process = await asyncio.create_subprocess_exec(
        *tied(sys.executable, *program, *args),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=PROJECT,
        env=dict(os.environ) | dict(env or {}),
        start_new_session=True,  # uvloop knows no process_group
    )
    try:
        async with asyncio.timeout(within_s):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Ended(code=process.returncode, out=out.decode(), err=err.decode())


@contextmanager
def processes(folder: Path, *, env: Mapping[str, str] | None = None) -> Iterator[Processes]:
    """Keep the forking interpreter for the length of the block; `env` are further variables."""
    # threads of a library do not survive a fork
    env = dict(os.environ) | dict(env or {})
    env |= {"OPENBLAS_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "200"}
    env.pop("REPLICATOR_CONFIG", None)
    stand_in = folder / STAND_IN_NAME
    stand_in.write_text(STAND_IN.format(python=sys.executable, folder=str(folder), address=ADDRESS))
    stand_in.chmod(0o755)
    with (folder / "parent.err").open("w") as err, _listening(folder) as listening:
        parent = subprocess.Popen(
            tied(sys.executable, "-m", "tests.servers.process", str(listening.fileno())),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=err, text=True, cwd=PROJECT,
            env=env, process_group=0, pass_fds=[listening.fileno()],
        )  # fmt: skip
    with parent:
        try:
            yield Processes(parent, folder)
        finally:
            assert parent.stdin is not None
            parent.stdin.close()  # it kills what still runs, then ends
            try:
                parent.wait(30)
            finally:
                parent.kill()


def _listening(folder: Path) -> socket.socket:
    """Return what programs that stand in for Python connect to, also before the parent is ready."""
    listening, here = socket.socket(socket.AF_UNIX), os.open(folder, os.O_RDONLY)
    listening.bind(f"/proc/self/fd/{here}/{ADDRESS}")  # the name of a socket has a limit
    os.close(here)
    listening.listen()
    return listening


# ------------------------------------------------------------------- in the forking interpreter


class _Forking:
    def __init__(self, listening: int) -> None:
        self._children: dict[int, Callable[[int], None]] = {}
        self._rest = b""
        self._listening = socket.socket(fileno=listening)
        self._selector = selectors.DefaultSelector()

    def serve(self) -> None:
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with self._selector as selector:
            selector.register(0, selectors.EVENT_READ, self._take)
            selector.register(read, selectors.EVENT_READ, lambda: os.read(read, 1 << 16))
            selector.register(self._listening, selectors.EVENT_READ, self._stand_in)
            while True:
                for key, _ in selector.select():
                    if key.fd in selector.get_map():
                        key.data()
                self._reap()

    def _take(self) -> None:
        """Fork what is asked for; at the end of what is asked kill what still runs, and end."""
        if not (data := os.read(0, 1 << 16)):
            for pid in self._children:
                os.kill(pid, signal.SIGKILL)
            sys.exit()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            pid = self._forked(request)
            self._children[pid] = partial(_tell, "ended", request["number"])
            _tell("started", request["number"], pid)

    def _stand_in(self) -> None:
        """Fork what the program that stands in for Python was started for, with its own files."""
        asking, _ = self._listening.accept()
        _, files, _, _ = socket.recv_fds(asking, 1, 3)
        with asking.makefile("rb") as lines:
            request = json.loads(lines.readline())
        pid = self._forked(request | {"files": files})
        for file in files:
            os.close(file)
        self._selector.register(asking, selectors.EVENT_READ, partial(self._hear, asking, pid))
        self._children[pid] = partial(self._answer, asking)

    def _hear(self, asking: socket.socket, pid: int) -> None:
        """Hand signals on; what stands in for a program that was killed takes it along."""
        for number in asking.recv(10) or [signal.SIGKILL]:
            os.kill(pid, number)
            if number == signal.SIGKILL:
                self._selector.unregister(asking)

    def _answer(self, asking: socket.socket, code: int) -> None:
        if asking in self._selector.get_map():
            self._selector.unregister(asking)
            asking.send(str(code).encode())
        asking.close()

    def _forked(self, request: dict[str, Any]) -> int:
        if (pid := os.fork()) == 0:
            _command(request)
        return pid

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._children.pop(pid)(os.waitstatus_to_exitcode(status))


def _tell(what: str, number: int, value: int) -> None:
    print(json.dumps({"what": what, "number": number, "value": value}), flush=True)


def _command(request: dict[str, Any]) -> None:
    """Be the command, from the fork to the exit."""
    code = 70
    try:
        _prepare(request)
        _main(request["args"])
    except SystemExit as exc:
        code = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
    except BaseException:  # noqa: BLE001 - as the interpreter does it
        traceback.print_exc()
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _prepare(request: dict[str, Any]) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(request["folder"])
    for number, descriptor in enumerate(_opened(request, folder)):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(folder)
    if (most := request.get("file_bytes_max")) is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails with EFBIG
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    if request.get("user") is not None:
        user = pwd.getpwnam(request["user"])
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    if request.get("clock_file") is not None:
        _set_wrong(Path(request["clock_file"]))
    tie_this_process()


def _opened(request: dict[str, Any], folder: Path) -> list[int]:
    """Return what is to be input, output and errors."""
    if (terminal := request.get("terminal")) is not None:
        os.setsid()  # so that the terminal becomes its own, with its Ctrl-C
        return [os.open(terminal, os.O_RDWR) for _ in range(3)]
    os.setpgid(0, 0)
    if (files := request.get("files")) is not None:
        return list(files)
    flags = os.O_WRONLY | os.O_APPEND
    return [
        os.open(request["stdin"], os.O_RDONLY),
        os.open(folder / "out", flags),
        os.open(folder / "err", flags),
    ]


def _set_wrong(clock_file: Path) -> None:
    """Let the one place that asks for the time be wrong; time that passes is not."""
    from replicator.adapters.machine.clock import SystemClock  # noqa: PLC0415 - imported long ago

    right = SystemClock.now

    def now(clock: SystemClock) -> datetime:
        return right(clock) + timedelta(seconds=float(clock_file.read_text() or 0))

    SystemClock.now = now  # type: ignore[method-assign, assignment]


def _main(args: Sequence[str]) -> None:
    from replicator.cli.main import main  # noqa: PLC0415 - imported long before the fork

    sys.argv = ["replicator", *args]
    main()


def _make_schemas() -> None:
    """Make what a command makes of a type when it first meets it."""
    sections = [Section]
    for section in sections:
        section.model_rebuild()
        sections += section.__subclasses__()
    for shape in [one for one in gc.get_objects() if type(one) is Shape]:
        with suppress(ValueError):  # it is nothing that can be read
            shape.checked({})


def _make_commands() -> None:
    """Make the parsers of all verbs, of which a command makes its own."""
    import typer.main  # noqa: PLC0415 - as _main

    from replicator.cli.main import VERBS, Verb, app  # noqa: PLC0415

    typer.main.get_command = cache(typer.main.get_command)
    Verb.command = cache(Verb.command)  # type: ignore[method-assign]
    made = [typer.main.get_command(app), *(verb.command(name) for name, verb in VERBS.items())]
    while made:
        one = made.pop()
        for parameter in one.params:
            parameter.get_runtime_param()
        made += getattr(one, "commands", {}).values()


async def _make_client() -> None:
    """Read the definitions of S3, which a command would read for its first client of it."""
    from replicator.adapters.s3.service import S3Address, s3_service  # noqa: PLC0415 - as _main
    from replicator.adapters.s3.session import s3_client  # noqa: PLC0415

    address = S3Address(
        bucket="b", prefix="", endpoint_url="http://127.0.0.1:1", region="us-east-1",
        access_key_id="x", secret_access_key="x",
    )  # fmt: skip
    async with s3_client(s3_service(address)):
        pass


if __name__ == "__main__":
    for module in pkgutil.walk_packages(replicator.__path__, "replicator."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)  # for the forks
    _make_schemas()
    _make_commands()
    asyncio.run(_make_client())
    gc.freeze()  # so that no child copies these pages only to look for garbage in them
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "threads do not survive a fork"
    _Forking(int(sys.argv[1])).serve()
