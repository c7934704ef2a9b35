"""What does a verb cost before its work begins? User time of whole processes, and who imports what.

    python -m bench.start
    python -m bench.start --beside OTHER/.venv/bin/python --config DEMO/replicator.yaml

The modules' bytecode is cached, as in an installed package: a first run of each command, which
counts for nothing, writes it into a folder that is removed at the end.

With `--beside` the same commands of another build run in turn with these. `status` and
`config validate` need `--config`; `replicator demo --keep` leaves one. Of two builds with other
files in their stores, give each its own: `--other-config`.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile

COMPLETING = {
    "_REPLICATOR_COMPLETE": "complete_bash",
    "_TYPER_COMPLETE_ARGS": "replicator st",
    "COMP_WORDS": "replicator st",
    "COMP_CWORD": "1",
}
COMPLETE = "import sys; sys.argv = ['replicator']; from replicator.cli.main import main; main()"
MAIN = ("-m", "replicator")
WITHOUT = {
    "--help": (*MAIN, "--help"),
    "--version": (*MAIN, "--version"),
    "complete": ("-c", COMPLETE),
}
WITH = {"config validate": (*MAIN, "config", "validate"), "status": (*MAIN, "status")}


def user_s(python: str, args: tuple[str, ...], environ: dict[str, str]) -> float:
    """Return the user time of one process, in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    with tempfile.TemporaryDirectory() as folder:  # else `-m` would find the package beside it
        done = subprocess.run(
            [python, *args], capture_output=True, env=environ, cwd=folder, check=False
        )
    if done.returncode not in {0, 1, 10}:
        raise SystemExit(f"{python} {args}: {done.stderr.decode()[-500:]}")
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--beside", help="the Python of another build")
    parser.add_argument("--config", help="of this build")
    parser.add_argument("--other-config", help="of the other build; default: --config")
    given = parser.parse_args()
    builds = {"this": (sys.executable, given.config)}
    if given.beside:
        builds["other"] = (given.beside, given.other_config or given.config)
    with tempfile.TemporaryDirectory() as cache:
        measure(builds, given.runs, {**WITHOUT, **(WITH if given.config else {})}, cache)


def measure(
    builds: dict[str, tuple[str, str | None]],
    runs: int,
    commands: dict[str, tuple[str, ...]],
    cache: str,
) -> None:
    """Print a line for each command; `cache` is the folder for bytecode."""
    for name, args in commands.items():
        found: dict[str, list[float]] = {build: [] for build in builds}
        for run in range(runs + 1):
            for build, (python, config) in builds.items():
                environ = {**os.environ, **(COMPLETING if name == "complete" else {})}
                environ |= {"REPLICATOR_CONFIG": config or ""} if name in WITH else {}
                environ |= {"PYTHONPYCACHEPREFIX": f"{cache}/{build}"}
                environ.pop("PYTHONDONTWRITEBYTECODE", None)
                taken_s = user_s(python, args, environ)
                if run:
                    found[build].append(taken_s)
        medians = {build: statistics.median(times) for build, times in found.items()}
        line = "  ".join(f"{build} {median:.3f} s" for build, median in medians.items())
        ratio = f"  ratio {medians['this'] / medians['other']:.2f}" if "other" in medians else ""
        print(f"{name:16} {line}{ratio}")


if __name__ == "__main__":
    main()
