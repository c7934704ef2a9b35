"""Help helps: groups, two examples that parse, flags without a value, names to complete."""

import os
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from replicator.cli.help import EXAMPLES, datasource_names, target_names
from replicator.cli.main import VERBS, app, hoisted
from replicator.cli.manual import pages

CONFIG = """\
source: {name: prod}
log: {type: sqlite, path: LOG}
targets:
  standby: {}
  vault: {}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path, log = tmp_path / "replicator.yaml", tmp_path / "log.sqlite"
    path.write_text(CONFIG.replace("LOG", str(log)))
    connection = sqlite3.connect(log)
    connection.execute("CREATE TABLE records (offset INTEGER PRIMARY KEY, data BLOB)")
    for name in ("wiki", "orders", "orders"):
        data = f'{{"data":{{"datasource":"{name}"}}}}'.encode()
        connection.execute("INSERT INTO records (data) VALUES (?)", (data,))
    connection.commit()
    connection.close()
    return path


def test_every_verb_has_two_examples_and_a_group():
    assert EXAMPLES.keys() == VERBS.keys()
    assert all(len(lines) == 2 for lines in EXAMPLES.values())
    assert all(verb.group for verb in VERBS.values())


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_shows_them_and_no_flag_wants_a_value(verb: str):
    said = CliRunner().invoke(app, [verb, "--help"], env={"COLUMNS": "200"})
    assert said.exit_code == 0, said.output
    assert "<bool>" not in said.output
    for line in EXAMPLES[verb]:
        assert f"replicator {line}" in said.output


@pytest.mark.parametrize(
    ("typed", "usage"),
    [
        ("restore", "restore [OPTIONS] [TARGET]"),
        ("drill vault", "drill [OPTIONS] TARGET"),
        ("hold create", "hold create [OPTIONS] NAME"),
        ("notifications resend", "notifications resend [OPTIONS] [ID]..."),
        ("points", "points [OPTIONS] [COMMAND] [ARGS]..."),
    ],
)
def test_a_usage_line_is_what_can_be_typed(typed: str, usage: str):
    said = CliRunner().invoke(app, [*typed.split(), "--help"], env={"COLUMNS": "200"})
    assert f"replicator {usage} " in said.output


def test_no_usage_line_names_a_thing_twice():
    for page in pages().values():
        usage = page.partition(".SH SYNOPSIS\n.B ")[2].partition("\n")[0]
        words = [word.strip("[].").lower() for word in usage.split()]
        assert len(words) == len(set(words)), usage


@pytest.mark.parametrize("line", [line for lines in EXAMPLES.values() for line in lines])
def test_an_example_is_refused_for_its_configuration_alone(
    line: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    """It parses: what is missing is a file, and nothing that was typed."""
    if line.startswith("demo"):
        return  # it needs no configuration; another test runs it
    away = tmp_path / "away.yaml"
    said = CliRunner().invoke(app, hoisted([*shlex.split(line), "--config", str(away)]))
    out, err = capfd.readouterr()
    assert said.exit_code == 2, said.output
    wanted = "answers are missing" if line.startswith("init") else "away.yaml"
    assert wanted in said.output + said.stderr + out + err


@pytest.mark.parametrize(
    ("shell", "typed", "found"),
    [
        ("bash", "replicator undelete orders --on ", "vault"),
        ("bash", "replicator roll", "rollback"),
        ("zsh", "replicator blame or", "orders"),
        ("fish", "replicator verify st", "standby"),
    ],
)
def test_names_are_completed(shell: str, typed: str, found: str, config: Path):
    words = typed.split()
    environ = {
        **os.environ,
        "REPLICATOR_CONFIG": str(config),
        "_REPLICATOR_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": typed,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(words) if typed.endswith(" ") else len(words) - 1),
    }
    code = "import sys; sys.argv = ['replicator']; from replicator.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=False
    )
    assert found in done.stdout, done.stderr
    assert "wiki" not in done.stdout


def test_names_are_read_without_judging_the_configuration(config: Path):
    assert target_names(config) == ["standby", "vault"]
    assert datasource_names(config) == ["orders", "wiki"]
