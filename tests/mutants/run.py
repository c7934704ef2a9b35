"""Plants each mutant in a copy of the project, runs its tests, and says which were caught."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from tests.mutants.forked import context, start
from tests.mutants.mutant import Mutant, Mutated, Selection, StaleError, mutated
from tests.mutants.witness import FILE, MODULE

PROJECT: Final = Path(__file__).resolve().parents[2]
TEST_S_MAX: Final = 120
"""What a test may take that does not say how long it may."""
RUN_S_MAX: Final = 600
"""What a run of pytest may take; the tests that a mutant names take seconds."""
GRACE_S: Final = 15
"""What a run may take to end what it has started."""
_MARK: Final = "MUTANT_RUN"
"""An environment variable by which what a run leaves behind is found."""
_FOLDER: Final = "mutants-"
_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class Verdict(StrEnum):
    """What came of a mutant."""

    CAUGHT = "caught"
    ESCAPED = "NOT CAUGHT"
    ACCEPTED = "accepted"
    STALE = "stale"
    HANGS = "hangs"
    BROKEN = "broken"


GOOD: Final = {Verdict.CAUGHT, Verdict.ACCEPTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one mutant, and how it was seen."""

    mutant: Mutant
    verdict: Verdict
    by: str = ""
    """The test that caught it, or what is wrong."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How one run of pytest ended."""

    code: int | None
    """None: it did not end in its time."""
    failed: Sequence[str] = ()
    """Tests that failed in their body."""
    timed_out: Sequence[str] = ()
    errors: Sequence[str] = ()
    """Tests that could not be set up, or ended badly."""
    passed: int = 0
    out: str = ""
    seconds: float = 0.0


async def run_all(mutants: Sequence[Mutant], *, workers: int) -> Sequence[Outcome]:
    """Return what came of each mutant, in their order; nothing of it is left behind."""
    outcomes = dict[str, Outcome]()
    files = dict[str, Mutated]()
    for mutant in mutants:
        try:
            files[mutant.name] = mutated(mutant, PROJECT)
        except StaleError as exc:
            outcomes[mutant.name] = Outcome(mutant=mutant, verdict=Verdict.STALE, by=str(exc))
    fits = [mutant for mutant in mutants if mutant.name in files]
    with _copies(workers) as copies:
        selections = list(dict.fromkeys(mutant.selection for mutant in fits))
        sound = dict(zip(selections, await _each(copies, selections, _sound), strict=True))
        found = await _each(
            copies, [(mutant, files[mutant.name], sound[mutant.selection]) for mutant in fits], _try
        )
    outcomes |= {outcome.mutant.name: outcome for outcome in found}
    return [outcomes[mutant.name] for mutant in mutants]


def write_report(outcomes: Sequence[Outcome], path: Path) -> None:
    """Write the outcomes as JSON, whole or not at all."""
    said = [
        asdict(outcome.mutant)
        | {"verdict": outcome.verdict, "by": outcome.by, "seconds": round(outcome.seconds, 2)}
        for outcome in outcomes
    ]
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(said, indent=1) + "\n")
    part.replace(path)


# ------------------------------------------------------------------------------- one copy, one run


class _Copy:
    """A copy of the project, in which one run goes on at a time."""

    def __init__(self, folder: Path, mark: str, forking: ForkServerContext) -> None:
        self._forking = forking
        self._project = folder / "project"
        self._temporary = folder / "tmp"
        self._mark = mark
        self._edits = 0
        self._temporary.mkdir()
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=PROJECT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (PROJECT / name).is_file():  # it may be deleted and not yet told to git
                (self._project / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(PROJECT / name, self._project / name)
        (self._project / ".venv").symlink_to(PROJECT / ".venv")

    @contextmanager
    def planted(self, file: Mutated) -> Iterator[None]:
        """Have the mutant in the copy for the length of the block."""
        path = self._project / file.path
        kept, stat = path.read_bytes(), path.stat()
        self._edits += 1
        path.write_text(file.text)
        # A module compiled before is known by whole seconds and size, which may be the same.
        os.utime(path, (stat.st_atime, stat.st_mtime + 10 * self._edits))
        try:
            yield
        finally:
            path.write_bytes(kept)
            os.utime(path, (stat.st_atime, stat.st_mtime))

    async def run(self, selection: Selection, module: str) -> Run:
        """Run some tests to the first failure."""
        said, out = self._temporary / "said.json", self._temporary / "out"
        said.unlink(missing_ok=True)
        started = time.monotonic()
        process = start(
            self._forking,
            self._project,
            _arguments(selection, self._project),
            self._environment(selection, said, module),
            out,
        )
        try:
            code = await _ended(process)
        finally:
            _kill_left(f"{_MARK}={self._mark}")
        seen = json.loads(said.read_text()) if said.exists() else {}
        return Run(
            code=code,
            failed=seen.get("failed", ()),
            timed_out=seen.get("timed_out", ()),
            errors=seen.get("errors", ()),
            passed=seen.get("passed", 0),
            out=out.read_text(errors="replace"),
            seconds=time.monotonic() - started,
        )

    def _environment(self, selection: Selection, said: Path, module: str) -> dict[str, str]:
        environment = dict(os.environ) | {
            "PYTHONPATH": str(self._project),
            "TMPDIR": str(self._temporary),
            "RING": "gate",
            MODULE: module,
            FILE: str(said),
            _MARK: self._mark,
        }
        for name in ("PYTEST_ADDOPTS", "PYTHONDONTWRITEBYTECODE", "SEEDS"):
            environment.pop(name, None)
        if selection.seeds is not None:
            environment["SEEDS"] = str(selection.seeds)
        return environment


async def _sound(copy: _Copy, selection: Selection) -> str:
    """Return what is wrong with some tests where there is no mutant; empty: nothing."""
    run = await copy.run(selection, "replicator")
    if run.code == 0 and run.passed:
        return ""
    return f"{' '.join(selection.arguments())}, where nothing is planted: {_story(run)}"


async def _try(copy: _Copy, planned: tuple[Mutant, Mutated, str]) -> Outcome:
    mutant, file, unsound = planned
    if unsound:
        return Outcome(mutant=mutant, verdict=Verdict.BROKEN, by=unsound)
    with copy.planted(file):
        run = await copy.run(mutant.selection, file.module)
    return judged(mutant, run)


def judged(mutant: Mutant, run: Run) -> Outcome:
    """Return what a run says of the mutant that was planted in it."""
    if run.code == 1 and run.failed:
        verdict, by = Verdict.CAUGHT, run.failed[0]
    elif run.code is None or run.timed_out:
        verdict = Verdict.CAUGHT if mutant.hangs else Verdict.HANGS
        by = run.timed_out[0] if run.timed_out else f"not ended within {RUN_S_MAX} s"
    elif run.code == 0:
        verdict = Verdict.ACCEPTED if mutant.accepted else Verdict.ESCAPED
        by = mutant.accepted
    else:
        verdict, by = Verdict.BROKEN, _story(run)
    if verdict is Verdict.CAUGHT and mutant.accepted:  # the reason is true no more
        verdict, by = Verdict.BROKEN, f"it is listed as accepted, and caught by {by}"
    return Outcome(mutant=mutant, verdict=verdict, by=by, seconds=run.seconds)


def _story(run: Run) -> str:
    if run.code is None:
        return f"not ended within {RUN_S_MAX} s"
    tail = " | ".join(run.out.strip().splitlines()[-3:])
    return f"pytest ended with {run.code}, errors in {list(run.errors)}: {tail}"


def _arguments(selection: Selection, project: Path) -> list[str]:
    return [
        "-x", "-q", "-n", "0", "--tb=short",
        "-p", "no:cacheprovider", "-p", "tests.mutants.witness",
        "-W", "ignore::pytest.PytestAssertRewriteWarning",  # plugins are imported before the fork
        f"--timeout={TEST_S_MAX}", "--hypothesis-seed=0", f"--rootdir={project}",
        *selection.arguments(),
    ]  # fmt: skip


async def _ended(process: ForkServerProcess) -> int | None:
    """Wait for the end of a run, which has its time and then some to clean up; None: too long."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(RUN_S_MAX):
                await ended.wait()
                return process.exitcode
        return None
    finally:
        try:
            await _end(process, ended)
        finally:
            loop.remove_reader(process.sentinel)
            process.join()


async def _end(process: ForkServerProcess, ended: asyncio.Event) -> None:
    for number in (signal.SIGINT, signal.SIGKILL):
        if ended.is_set() or process.pid is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE_S):
                await ended.wait()


def _kill_left(mark: str) -> None:
    """Kill what a run has left behind: it has the run's mark in its environment."""
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark.encode() in entry.read_bytes().split(b"\0"):
                os.kill(int(entry.parent.name), signal.SIGKILL)


# ------------------------------------------------------------------------------------- many copies


@contextmanager
def _copies(workers: int) -> Iterator[Sequence[_Copy]]:
    run, forking = uuid4().hex, context()
    _remove_dead()
    with tempfile.TemporaryDirectory(
        prefix=f"{_FOLDER}{os.getpid()}-", ignore_cleanup_errors=True
    ) as folder:
        Path(folder).chmod(0o755)  # a database server does not run as root
        made = list[_Copy]()
        for number in range(workers):
            (place := Path(folder) / str(number)).mkdir()
            made.append(_Copy(place, f"{run}-{number}", forking))
        yield made


def _remove_dead() -> None:
    """Remove what a runner left that was killed with no time to clean up."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}*-*"):
        pid = folder.name.removeprefix(_FOLDER).partition("-")[0]
        if pid.isdecimal() and not _is_alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        return True
    return True


async def _each(
    copies: Sequence[_Copy], items: Sequence[_Item], act: Callable[[_Copy, _Item], Awaitable[_Made]]
) -> Sequence[_Made]:
    """Do something with each item, in as many copies at once as there are."""
    results = dict[int, _Made]()
    waiting = iter(enumerate(items))

    async def work(copy: _Copy) -> None:
        for number, item in waiting:
            results[number] = await act(copy, item)
            print(_sign(results[number]), end="", flush=True, file=sys.stderr)

    async with asyncio.TaskGroup() as group:
        for copy in copies:
            group.create_task(work(copy))
    return [results[number] for number in range(len(items))]


def _sign(result: object) -> str:
    """Return what is printed at once: a dot, or what somebody should look at."""
    if isinstance(result, Outcome) and result.verdict not in GOOD:
        return f"\n{result.verdict}: {result.mutant.name}: {result.by}\n"
    if isinstance(result, str) and result:
        return f"\n{result}\n"
    return "."
