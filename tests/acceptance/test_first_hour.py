"""From a fresh clone to a verified standby, by the README and what the program prints alone."""

import asyncio
import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.ports import Chunk
from tests.acceptance.test_init import Newcomer, newcomer
from tests.servers.mariadb import Mariadb, execute, put
from tests.servers.process import PROJECT, Ended
from tests.servers.terminal import at_terminal

__all__ = ["newcomer"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
COMMANDS_MAX = 12
CPU_S_MAX = 180
BEFORE = ("git clone", "cd druid-replicator")
"""What the page with the README says itself."""
SECRET = "s3cret-w0rd"
GRANTS = re.compile(r"## Grants\n\n```sql\n(.*?)```", re.DOTALL)
BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def readme() -> list[str]:
    """Return the commands of the README's "Use it", in their order."""
    _, _, rest = (PROJECT / "README.md").read_text().partition("## Use it")
    section = rest.partition("\n## ")[0]
    lines = [line for block in BLOCK.findall(section) for line in block.splitlines()]
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


@pytest.fixture
async def newcomer_on_mariadb(newcomer: Newcomer, mariadb: Mariadb) -> AsyncIterator[Newcomer]:
    """The same with a Druid's rows in a MariaDB, and an empty database there."""
    async with mariadb.database() as source, mariadb.database(None) as target:
        async with PostgresqlMetadataReader(newcomer.source).snapshot() as snapshot:
            for kind in snapshot.kinds:
                chunks: list[Chunk] = []
                await snapshot.scan(kind, chunks.append)
                for chunk in chunks:
                    await put(source, *await snapshot.fetch(kind, chunk.handles))
        yield replace(
            newcomer,
            source=await granted(mariadb, source, "source"),
            target=await granted(mariadb, target, "target"),
        )


async def granted(server: Mariadb, dsn: str, what: str) -> str:
    """Make a user as docs/mysql.md says, for a source or a target, and return the user's DSN."""
    found = GRANTS.search((PROJECT / "docs" / "mysql.md").read_text())
    assert found is not None
    database, user = dsn.rpartition("/")[2], f"newcomer_{what}"
    creates, *grants = [line for line in found[1].splitlines() if not line.startswith("--")]
    (grant,) = [line for line in grants if ("INSERT" in line) == (what == "target")]
    statements = (
        creates.replace("'...'", f"'{SECRET}'").replace("CREATE", "CREATE OR REPLACE"),
        grant.replace(" druid.*", f" {database}.*"),
    )
    await execute(dsn, *(one.replace("'replicator'", f"'{user}'") for one in statements))
    return server.dsn_of(database, user=user, password=SECRET)


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


async def follows(newcomer: Newcomer) -> None:
    """Do what the README says, and what each command says next, until a standby is verified."""
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


async def test_the_readme_and_what_is_printed_are_enough(newcomer: Newcomer):
    await follows(newcomer)


async def test_they_are_enough_for_a_druid_on_mysql(newcomer_on_mariadb: Newcomer):
    """Source and standby on MariaDB, by the users of docs/mysql.md."""
    await follows(newcomer_on_mariadb)


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
