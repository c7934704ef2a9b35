"""The demo's environment: a PostgreSQL with two databases, two deep storages, a configuration."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import orjson

from replicator.adapters.scratch import postgresql as embedded_postgresql
from replicator.cli.demo.recording import TABLES_DDL, RecordedDruid
from replicator.errors import ReplicatorError

SOURCE, TARGET, OTHER = "production", "standby", "rehearsal"
READER = "replicator_reader"
CONFIG = """\
# Made by `replicator demo`.
source:
  name: {source}
  metadata:
    type: postgresql
    url: {source_url}   # a role that can only SELECT
  deep_storage: {{type: local, root: {folder}/{source}-segments}}
log: {{type: sqlite, path: {folder}/log.sqlite}}
watch: {{poll_interval_s: 0.5, idle_cut_interval_s: 5}}
targets:
  {target}:
    metadata:
      type: postgresql
      url: {target_url}
    deep_storage: {{type: local, root: {folder}/{target}-segments}}
    apply_interval_s: 0.2
    rpo: 30s
"""
OTHER_CONFIG = """\
  {other}:
    metadata:
      type: postgresql
      url: {other_url}
    deep_storage: {{type: local, root: {folder}/{other}-segments}}
    rpo: 30s
"""

RUN_LOG = "run.log"
LOG_TAIL_CHARS = 2000


class DemoError(ReplicatorError):
    """A command of the demo did not do what the story says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The environment in which the story's commands run."""

    folder: Path
    druid: RecordedDruid
    source: asyncpg.Connection
    target: asyncpg.Connection
    other_config: str
    runs: list[asyncio.subprocess.Process] = field(default_factory=list)
    """Started `replicator run` processes; the last one may still run."""

    @property
    def config(self) -> Path:
        """The configuration file."""
        return self.folder / "replicator.yaml"

    def add_other(self) -> None:
        """Configure the second target, for the last chapter."""
        self.add(self.other_config)

    def add(self, settings: str) -> None:
        """Append settings to the configuration."""
        with self.config.open("a") as config:
            config.write(settings)

    async def is_followed(self) -> bool:
        """Return whether the tables of standby and source are equal, by queries of both."""
        return await _held(self.source) == await _held(self.target)

    async def run(self, *args: str, may_exit: tuple[int, ...] = (0,)) -> str:
        """Run the real command line and return its output.

        Raises:
            DemoError: it exits with a code that is neither 0 nor in `may_exit`.
        """
        process = await asyncio.create_subprocess_exec(
            *self.command(*args),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environ(),
        )
        out, err = await process.communicate()
        if process.returncode not in may_exit:
            output = (err or out).decode()
            raise DemoError(f"`replicator {' '.join(args)}` exited {process.returncode}:\n{output}")
        return out.decode()

    async def ask(self, *args: str, may_exit: tuple[int, ...] = (0,)) -> dict[str, object]:
        """Run a verb with --json and return its result."""
        document = orjson.loads(await self.run(*args, "--json", may_exit=may_exit))
        result: dict[str, object] = document["result"]
        return result

    def command(self, *args: str) -> list[str]:
        """Return the command line of a verb."""
        quiet = ("--log-level", "warning")
        return [sys.executable, "-m", "replicator", *quiet, *args, "--config", str(self.config)]

    def refuse_ended(self) -> None:
        """Require that `replicator run` still runs.

        Raises:
            DemoError: the process has ended; the message has the end of its log.
        """
        if self.runs and self.runs[-1].returncode is not None:
            last_lines = tail(self.folder / RUN_LOG)
            raise DemoError(
                f"`replicator run` ended with {self.runs[-1].returncode}:\n{last_lines}"
            )

    def too_slow(self, what: str, within_s: float, log: str = RUN_LOG) -> DemoError:
        """Return the error for something that did not happen in time, with the end of a log."""
        return DemoError(
            f"{what} within {within_s:.0f} s:\n{tail(self.folder / log)}",
            hint="this machine is very slow or very busy: run the demo again when it is quiet",
        )

    @asynccontextmanager
    async def following(self) -> AsyncGenerator[None]:
        """Run `replicator run` for the duration of the block."""
        with (self.folder / RUN_LOG).open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *self.command("run", "--target", TARGET),
                stdout=log,
                stderr=log,
                env=self.environ(),
            )
        self.runs.append(process)
        try:
            yield
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    def environ(self) -> dict[str, str]:
        """Return this process's variables, except the one that names a configuration."""
        return {key: value for key, value in os.environ.items() if key != "REPLICATOR_CONFIG"}


@asynccontextmanager
async def stage(folder: Path, *, keep: bool) -> AsyncGenerator[Stage]:
    """Create the environment; with `keep` it stays after the block."""
    data_dir = folder / "postgresql"
    server = await embedded_postgresql.start(data_dir)
    try:
        await _make_databases(server)
        for name in (SOURCE, TARGET, OTHER):
            (folder / f"{name}-segments").mkdir()
        RecordedDruid.unpack(folder / "archive")
        (folder / "replicator.yaml").write_text(_configuration(folder, server))
        source = await asyncpg.connect(server.dsn(SOURCE))
        target = await asyncpg.connect(server.dsn(TARGET))
        try:
            druid = RecordedDruid(
                source, root=folder / f"{SOURCE}-segments", archive=folder / "archive"
            )
            other = OTHER_CONFIG.format(folder=folder, other=OTHER, other_url=server.dsn(OTHER))
            yield Stage(
                folder=folder, druid=druid, source=source, target=target, other_config=other
            )
        finally:
            await source.close()
            await target.close()
    finally:
        if not keep:
            await embedded_postgresql.stop(data_dir)


def _configuration(folder: Path, server: embedded_postgresql.Server) -> str:
    return CONFIG.format(
        folder=folder,
        source=SOURCE,
        source_url=server.dsn(SOURCE, role=READER),
        target=TARGET,
        target_url=server.dsn(TARGET),
    )


async def _make_databases(server: embedded_postgresql.Server) -> None:
    connection = await asyncpg.connect(server.superuser_dsn)
    try:
        await connection.execute(f"CREATE ROLE {READER} LOGIN")
        for name in (SOURCE, TARGET, OTHER):
            await connection.execute(f"CREATE DATABASE {name} OWNER {embedded_postgresql.ROLE}")
    finally:
        await connection.close()
    for name in (SOURCE, TARGET, OTHER):
        connection = await asyncpg.connect(server.dsn(name))
        try:
            await connection.execute(TABLES_DDL.read_text())
            await connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}")
        finally:
            await connection.close()


async def _held(connection: asyncpg.Connection) -> tuple[list[object], list[object]]:
    segments = await connection.fetch("SELECT id, used FROM druid_segments ORDER BY id")
    offsets = await connection.fetch(
        "SELECT datasource, commit_metadata_sha1 FROM druid_datasource ORDER BY datasource"
    )
    return [tuple(row) for row in segments], [tuple(row) for row in offsets]


def tail(log: Path) -> str:
    """Return the end of a log."""
    return log.read_text(errors="replace")[-LOG_TAIL_CHARS:] if log.exists() else ""
