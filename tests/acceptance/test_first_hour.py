"""From a fresh clone to a verified standby, by the README and what the program prints alone."""

import asyncio
import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.acceptance.test_init import Newcomer, newcomer
from tests.servers.process import PROJECT, Ended
from tests.servers.terminal import at_terminal

__all__ = ["newcomer"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
COMMANDS_MAX = 12
CPU_S_MAX = 180
BEFORE = ("git clone", "cd druid-replicator")
"""What the page with the README says itself."""
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def readme() -> list[str]:
    """Return the commands of the README's "Use it", in their order."""
    _, _, rest = (PROJECT / "README.md").read_text().partition("## Use it")
    section = rest.partition("\n## ")[0]
    lines = [line for block in BLOCK.findall(section) for line in block.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


@dataclass
class Reader:
    """Types what the README and the program say, one line after the other."""

    who: Newcomer
    typed: list[str] = field(default_factory=lambda: list(BEFORE))
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.environ["REPLICATOR_CONFIG"] = str(self.who.config)

    async def types(self, line: str) -> Ended:
        self.typed.append(line)
        program, *args = shlex.split(line, comments=True)
        assert program == "replicator", line
        return await self.who.forks.run(*args, env=self.environ, within_s=120)

    def obeys(self, said: str) -> str:
        """Set the passwords that are asked for, and return the command that is named next."""
        _, _, after = said.partition("next:")
        lines = [line.partition("    #")[0].strip() for line in after.splitlines() if line.strip()]
        for line in lines[:-1]:
            self.typed.append(line)
            name = line.rpartition(" ")[2]
            self.environ[name] = self.who.environ[name]
        return lines[-1]


def answers(who: Newcomer) -> Mapping[str, str]:
    """What somebody answers who reads the questions."""
    given = who.answers
    return {
        "Metadata store of the source": given["--source-metadata"],
        "Deep storage of the source": given["--source-storage"],
        "Event log": given["--log"],
        "Metadata store of the target": given["--target"],
        "Deep storage of the target": given["--target-storage"],
    }


async def test_the_readme_and_what_is_printed_are_enough(newcomer: Newcomer):
    install, folder, init, create, check, run, status, verify = readme()
    assert (install, init) == ("pip install .", "replicator init")
    assert "/var/lib/druid-replicator" in folder
    reader = Reader(newcomer)
    reader.typed += [install, folder, init]
    _, *args = shlex.split(init)
    async with at_terminal(newcomer.forks, *args, columns=400, environ=reader.environ) as terminal:
        for question, answer in answers(newcomer).items():
            await terminal.shows(question)
            terminal.types(f"{answer}\r")
        assert await terminal.ended() == 0, terminal.lines
        said = "\n".join(terminal.lines)
    for expected in (create, check):
        line = reader.obeys(said)
        assert line.startswith(expected), "the README has another order"
        done = await reader.types(line)
        assert done.code == 0, done.out + done.err
        said = done.out
    line = reader.obeys(said)
    assert line.startswith(run)
    reader.typed.append(line)
    running = await newcomer.forks.start(*shlex.split(line)[1:], env=reader.environ)
    try:
        await running.says("first filling done", within_s=60)
        assert (seen := await reader.types(status)).code == 0, seen.out
        proof = await reader.types(verify)
        assert (proof.code, "good" in proof.out) == (0, True), proof.out + proof.err
    finally:
        ended = await running.terminate()
    assert ended.code == 0, ended.err
    assert len(reader.typed) <= COMMANDS_MAX, reader.typed


@pytest.mark.long
async def test_from_a_clone_with_pip(newcomer: Newcomer):
    """The same with what pip installs; all of it takes less than three minutes of one core."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    clone, venv = newcomer.folder / "druid-replicator", newcomer.folder / "venv"
    shell(["git", "clone", "--quiet", str(PROJECT), str(clone)])
    shell([sys.executable, "-m", "venv", str(venv)])
    shell([str(venv / "bin" / "pip"), "install", "--quiet", "."], clone)
    program = str(venv / "bin" / "replicator")
    flags = [part for pair in newcomer.answers.items() for part in pair]
    environ = newcomer.environ
    for args in (["init", *flags], ["target", "create", "standby"], ["check"]):
        shell([program, *args], clone, environ)
    running = subprocess.Popen(
        [program, "run"], cwd=clone, env={**os.environ, **environ}, stderr=subprocess.PIPE
    )
    try:
        assert running.stderr is not None
        async with asyncio.timeout(120):
            while b"first filling done" not in await asyncio.to_thread(running.stderr.readline):
                assert running.poll() is None
        shell([program, "status"], clone, environ)
        shell([program, "verify", "standby"], clone, environ)
    finally:
        running.terminate()
        running.communicate(timeout=60)
    manual = venv / "share" / "man" / "man1"
    assert (manual / "replicator.1").exists()
    assert (manual / "replicator-restore.1").exists()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu_s < CPU_S_MAX


def shell(
    line: Sequence[str], folder: Path | None = None, environ: Mapping[str, str] | None = None
) -> None:
    env = {**os.environ, **(environ or {})}
    done = subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
