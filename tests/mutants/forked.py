"""Runs of pytest in forks of an interpreter that has imported what does not change.

Half of a short run's time would be the imports. Nothing of the product and none of its tests is
imported before the fork: those come from the folder that a run is given.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Final

from tests.servers.tied import tie_this_process

PRELOAD: Final = (
    "aiohttp",
    "aiokafka",
    "asyncpg",
    "cramjam",
    "hypothesis",
    "jsonschema",
    "numpy",
    "orjson",
    "prometheus_client",
    "pydantic",
    "pytest",
    "pytest_asyncio.plugin",
    "pytest_timeout",
    "rich.console",
    "rich.table",
    "structlog",
    "typer",
    "uvloop",
    "xdist.plugin",
    "yaml",
)


def context() -> ForkServerContext:
    """Return where processes are forked."""
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # threads of a library do not survive a fork
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload([*PRELOAD, __name__])
    return found


def start(
    forking: ForkServerContext,
    project: Path,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    out: Path,
) -> ForkServerProcess:
    """Start pytest with these arguments in a folder, in a group of processes of its own."""
    process = forking.Process(target=_run, args=(project, arguments, dict(environment), out))
    process.start()
    return process


def _run(project: Path, arguments: Sequence[str], environment: dict[str, str], out: Path) -> None:
    tie_this_process()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell has it ignored
    os.setsid()
    _write_to(out)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(project)
    sys.dont_write_bytecode = False  # the next run in this folder does not compile it all again
    forget = [name for name in sys.modules if name.partition(".")[0] in {"tests", "replicator"}]
    for name in forget:
        del sys.modules[name]
    ours = [str(project), *[path for path in sys.path if "site-packages" in path or _is_std(path)]]
    sys.path[:] = list(dict.fromkeys(ours))
    import pytest  # noqa: PLC0415 - imported long before the fork

    code = pytest.main(list(arguments))
    sys.stdout.flush()
    os._exit(int(code))


def _is_std(path: str) -> bool:
    return path.startswith((sys.base_prefix, sys.base_exec_prefix))


def _write_to(out: Path) -> None:
    with Path(os.devnull).open("rb") as nothing, out.open("wb") as file:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    # the fork server's own are closed or somebody else's
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
