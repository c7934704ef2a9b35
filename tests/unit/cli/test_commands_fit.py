"""A command that is printed fits the configuration, and the kind of target, it is printed for.

That it is understood as it is typed (`test_printed_commands`) is not enough: an archive cannot be
restored in place, and without a log nothing follows one. A command that does not fit is refused as
a mistake (2) before any server is asked; here no server is there, so one that fits ends later.
"""

import shlex
from pathlib import Path

import pytest
import yaml

from replicator import config
from replicator.app import Application
from replicator.cli.go_back.commands import goes_on, way_back
from replicator.cli.main import app
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.config import Settings
from replicator.errors import ConfigError, ReplicatorError
from replicator.model.event import Offset
from replicator.model.observation import Observation

AWAY = "postgresql://nobody@127.0.0.1:1"
USAGE = ConfigError.exit_code
KINDS = {
    "a standby": ("standby",),
    "an archive and a standby": ("vault", "standby"),
    "an archive and two standbys": ("vault", "standby", "second"),
    "a rescue from an archive": ("vault", "rescue", "no log"),
}


def configured(folder: Path, kind: str) -> Path:
    found: dict[str, object] = {"targets": {}}
    if "no log" not in KINDS[kind]:
        found["source"] = {
            "name": "prod",
            "metadata": {"type": "postgresql", "url": f"{AWAY}/prod"},
            "deep_storage": {"type": "local", "root": str(folder / "source")},
        }
        found["log"] = {"type": "sqlite", "path": str(folder / "log.sqlite")}
    found["targets"] = {name: target(folder, name) for name in KINDS[kind] if name != "no log"}
    path = folder / "here it is.yaml"
    path.write_text(yaml.safe_dump(found))
    return path


def target(folder: Path, name: str) -> dict[str, object]:
    (folder / name).mkdir()
    storage: dict[str, object] = {"deep_storage": {"type": "local", "root": str(folder / name)}}
    if name == "vault":
        return storage
    return storage | {"metadata": {"type": "postgresql", "url": f"{AWAY}/{name}"}}


def settings(path: Path) -> Settings:
    return config.load(path, {}, {})


def ends(command: str) -> int | str | None:
    """Type a command, and return its exit code."""
    program, *args = shlex.split(command)
    assert program == "replicator"
    with pytest.raises(SystemExit) as ended:
        app(args, standalone_mode=False)
    return ended.value.code


@pytest.mark.parametrize("datasource", ["or ders", "- x"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_brings_a_datasource_back_fits_each_target(
    kind: str, datasource: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Druid takes a name that begins with a dash, which a command line takes for an option."""
    path = configured(tmp_path, kind)
    found, said = settings(path), PrintedCommands(config=path, environ={})
    for name in found.targets:
        verb = way_back(found, name, datasource, Offset(4))
        is_template = "TARGET" in verb.split()
        assert is_template == ((kind, name) == ("an archive and two standbys", "vault"))
        typed = said.command(verb.replace("TARGET", "second"))
        assert ends(typed) not in {0, USAGE}, (typed, capsys.readouterr().err)


async def after_a_restore(path: Path, name: str) -> str:
    def unseen(_: Observation) -> None:
        pass

    async with Application(settings(path), {}, unseen) as application:
        return await goes_on(application, name, "log")


async def test_without_a_log_no_command_follows_one(tmp_path: Path):
    path = configured(tmp_path, "a rescue from an archive")
    assert await after_a_restore(path, "rescue") == (
        "this configuration has no log, so there is nothing that it could follow"
    )


async def test_a_log_that_is_away_is_named_instead_of_a_command(tmp_path: Path):
    path = configured(tmp_path, "a standby")
    assert "the log cannot be read now" in await after_a_restore(path, "standby")


def test_one_that_does_not_fit_would_be_seen(tmp_path: Path):
    path = configured(tmp_path, "a rescue from an archive")
    for verb in ("apply rescue --resume --once", "restore vault --to-offset 4", "verify rescue"):
        assert ends(PrintedCommands(config=path, environ={}).command(verb)) == USAGE


def test_what_was_overruled_is_overruled_in_what_is_typed_next(tmp_path: Path):
    said = PrintedCommands(config=tmp_path / "a.yaml", environ={}, overrides=("watch.x=1 2",))
    assert said.command("run").endswith("a.yaml --set 'watch.x=1 2'")


def test_of_a_store_alone_a_proof_is_by_that_store(tmp_path: Path):
    said = PrintedCommands(config=tmp_path / "a.yaml", environ={}, store="vault")
    text = said.complete(ReplicatorError.hint or "`replicator verify TARGET`", target="rescue")
    assert "verify rescue --from vault" in text
