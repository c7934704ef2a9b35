"""`init`: from nothing to a configuration that works, by flags and at a terminal."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from replicator.cli.demo.recording import RecordedDruid, steps
from replicator.config import load
from tests.servers.kafka import Kafka
from tests.servers.postgresql import Postgresql, connected
from tests.servers.process import Ended, Processes
from tests.servers.terminal import CTRL_C, at_terminal

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Newcomer:
    """Somebody with a Druid, an empty database, a folder, and no configuration."""

    folder: Path
    source: str
    target: str
    forks: Processes

    @property
    def config(self) -> Path:
        return self.folder / "replicator.yaml"

    @property
    def answers(self) -> dict[str, str]:
        return {
            "--source-metadata": self.source,
            "--source-storage": str(self.folder / "source"),
            "--log": str(self.folder / "prod.log"),
            "--target": self.target,
            "--target-storage": str(self.folder / "standby"),
        }

    @property
    def environ(self) -> dict[str, str]:
        return {
            "SOURCE_PASSWORD": urlsplit(self.source).password or "",
            "STANDBY_PASSWORD": urlsplit(self.target).password or "",
        }

    async def inits(self, **changed: str | None) -> Ended:
        given = self.answers | {f"--{name.replace('_', '-')}": v for name, v in changed.items()}
        flags = [part for flag, value in given.items() if value for part in (flag, value)]
        return await self.types("init", *flags)

    async def types(self, *args: str) -> Ended:
        flags = ("--config", str(self.config))
        return await self.forks.run(*args, *flags, env=self.environ, within_s=120)


@pytest.fixture
async def newcomer(
    postgresql: Postgresql, tmp_path: Path, forks: Processes
) -> AsyncIterator[Newcomer]:
    async with postgresql.database() as source, postgresql.database(None) as target:
        RecordedDruid.unpack(tmp_path / "archive")
        (tmp_path / "source").mkdir()
        async with connected(source) as connection:
            druid = RecordedDruid(
                connection, root=tmp_path / "source", archive=tmp_path / "archive"
            )
            await druid.play(steps()["1-history"])
        yield Newcomer(tmp_path, source, target, forks)


async def test_what_init_wrote_works_and_each_command_names_the_next(newcomer: Newcomer):
    wrote = await newcomer.inits()
    assert wrote.code == 0, wrote.err
    assert "replicator target create standby" in wrote.out
    assert "PASSWORD &&" not in wrote.out, "both variables are set already"
    text = newcomer.config.read_text()
    assert all(password not in text for password in newcomer.environ.values())
    again = await newcomer.inits()
    assert (again.code, "is there already" in again.err) == (4, True)
    assert newcomer.config.read_text() == text


async def test_each_answer_is_tried_and_nothing_is_written_unless_all_work(newcomer: Newcomer):
    wrong = urlsplit(newcomer.source)
    folder = newcomer.folder
    cases = {
        "source_metadata": (newcomer.target, "there is no table"),
        "source_storage": (f"{folder / 'source'}?rot=1", "unknown key"),
        "log": (str(folder / "nowhere" / "prod.log"), "install -d"),
        "target": (newcomer.source, "same tables"),
        "target_storage": (str(folder / "source" / "in"), "overlap"),
    }
    for name, (answer, said) in cases.items():
        ended = await newcomer.inits(**{name: answer})
        assert (ended.code, said in ended.err) == (2, True), (name, ended.err)
        assert f"--{name.replace('_', '-')}" in ended.err
    locked_out = f"postgresql://{wrong.username}:no@{wrong.hostname}:{wrong.port}{wrong.path}"
    ended = await newcomer.inits(source_metadata=locked_out)
    assert (ended.code, "password" in ended.err) == (2, True), ended.err
    empty = await newcomer.inits(source_storage=str(folder / "archive"))
    assert empty.code == 2
    away = await newcomer.inits(source_metadata=f"postgresql://druid:x@{wrong.hostname}:1/druid")
    assert away.code == 8, away.err
    assert not newcomer.config.exists()


async def test_without_a_terminal_all_that_is_missing_is_named(newcomer: Newcomer):
    ended = await newcomer.inits(target=None, source_storage=None)
    assert ended.code == 2
    assert "missing: --source-storage, --target\n" in ended.err
    assert not newcomer.config.exists()


@pytest.mark.xdist_group("jvms")
async def test_an_archive_and_a_kafka_with_one_broker(newcomer: Newcomer, kafka_broker: Kafka):
    wrote = await newcomer.inits(
        log=f"kafka://{kafka_broker.bootstrap}/init.{newcomer.folder.name}", target="archive"
    )
    assert wrote.code == 0, wrote.err
    settings = load(newcomer.config, {})
    assert settings.targets.keys() == {"archive"}
    assert settings.targets["archive"].metadata is None
    text = newcomer.config.read_text()
    assert "replication_factor: 1" in text
    assert "min_insync_replicas: 1" in text
    assert (await newcomer.types("check")).code == 1, "its folder is not made yet"


@pytest.mark.parametrize("columns", [80, pytest.param(200, marks=pytest.mark.long)])
async def test_at_a_terminal_a_wrong_answer_is_asked_again(newcomer: Newcomer, columns: int):
    """A password is asked for where the server wants one, is not shown, and is not written."""
    source, secret = newcomer.source, newcomer.environ["SOURCE_PASSWORD"]
    bare = source.replace(f":{secret}@", "@")
    config = ("--config", str(newcomer.config))
    environ = {"STANDBY_PASSWORD": newcomer.environ["STANDBY_PASSWORD"]}
    async with at_terminal(
        newcomer.forks, "init", *config, columns=columns, environ=environ
    ) as terminal:
        await terminal.shows("1/5 Metadata store of the source")
        terminal.types("the one in the cellar\r")
        await terminal.shows("is no metadata store")
        terminal.types(f"{bare}\r")
        await terminal.shows("its password (not written down; Enter: it has none):")
        terminal.types("a wrong one\r")
        await terminal.shows("1/5 Metadata store of the source", times=3)
        terminal.types(f"{bare}\r")
        await terminal.shows("its password (not written down; Enter: it has none):", times=2)
        terminal.types(f"{secret}\r")
        for flag, place in (
            ("--source-storage", "2/5"),
            ("--log", "3/5"),
            ("--target", "4/5"),
            ("--target-storage", "5/5"),
        ):
            await terminal.shows(f"{place} ")
            answer = newcomer.answers[flag].replace(f":{secret}@", "@")
            if flag == "--target":  # no password mends a database's name: none is asked for
                terminal.types(f"{answer}_misspelt\r")
                await terminal.shows(f"{place} ", times=2)
                assert terminal.text.count("its password") == 2, terminal.lines
            terminal.types(f"{answer}\r")
        assert await terminal.ended() == 0, terminal.lines
        assert "read -rs SOURCE_PASSWORD && export SOURCE_PASSWORD" in terminal.text
        assert "STANDBY_PASSWORD &&" not in terminal.text
        assert secret.encode() not in terminal.raw
    assert secret not in newcomer.config.read_text()
    assert (await newcomer.types("config", "validate")).code == 0


async def test_ctrl_c_at_a_question_writes_nothing(newcomer: Newcomer):
    config = ("--config", str(newcomer.config))
    async with at_terminal(newcomer.forks, "init", *config) as terminal:
        await terminal.shows("1/5 ")
        terminal.types(CTRL_C)
        assert await terminal.ended() == 130
    assert not newcomer.config.exists()
