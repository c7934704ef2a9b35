"""`@verb` makes a command of a function: shared options, groups of options, outcomes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from replicator.cli.command import Call, OpenCall, Outcome
from replicator.cli.verb import local_verb, verb
from replicator.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    name: Annotated[str, typer.Argument(help="Where it is.")]
    far: Annotated[bool, typer.Option("--far", help="Far away.")] = False


app = typer.Typer(invoke_without_command=True)


@app.callback()
@local_verb("find")
def find(call: Call) -> Outcome:
    """Find all."""
    return _outcome(call, name="all")


@app.command("one")
@local_verb("find one")
def one(call: Call, where: Where, limit: Annotated[int, typer.Option()] = 3) -> Outcome:
    """Find one."""
    if where.name == "nowhere":
        raise ConfigError("nowhere is no place", hint="say another")
    return _outcome(call, name=where.name, far=where.far, limit=limit)


@app.command("watch")
@verb("find watch", json=False)
async def watch(call: OpenCall) -> Outcome:
    """Find for ever."""
    return _outcome(call.typed, name="all")


def _outcome(call: Call, **found: object) -> Outcome:
    result = {**found, "config": str(call.config_path), "overrides": list(call.overrides)}
    return Outcome(result=result, show=lambda console: console.print(found["name"]), exit_code=7)


def run(*args: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, args)
    return done.exit_code, done.stdout


def test_a_group_of_options_reaches_the_verb_as_one_value():
    given = ("one", "here", "--far", "--json", "-c", "a.yaml", "--set", "a=1", "--set", "b=2")
    code, out = run(*given)
    document = json.loads(out)
    assert (code, document["command"]) == (7, "find one")
    assert document["result"] == {
        "name": "here",
        "far": True,
        "limit": 3,
        "config": "a.yaml",
        "overrides": ["a=1", "b=2"],
    }


def test_a_verb_that_fails_says_so_in_its_document_too():
    code, out = run("one", "nowhere", "--json")
    assert code == ConfigError.exit_code
    assert json.loads(out)["error"]["hint"] == "say another"


def test_a_group_that_is_a_verb_leaves_its_place_to_the_verb_behind_it():
    assert run() == (7, "all\n")
    assert run("one", "here") == (7, "here\n"), "and nothing of `find` itself"


def test_the_help_is_that_of_the_function(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "120")
    said = CliRunner().invoke(app, ["one", "--help"]).output
    for words in ("Find one.", "Where it is.", "--far", "--limit", "--config", "--set", "--json"):
        assert words in said
    assert "--json" not in CliRunner().invoke(app, ["watch", "--help"]).output


def test_a_verb_without_its_configuration_is_refused(tmp_path: Path):
    done = CliRunner().invoke(app, ["watch", "--config", str(tmp_path / "away.yaml")])
    assert done.exit_code == ConfigError.exit_code
    assert "away.yaml" in done.stderr
