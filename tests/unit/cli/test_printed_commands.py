"""Each command that a message names can be typed as it is printed."""

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from replicator.cli import verb
from replicator.cli.command import Call
from replicator.cli.main import app
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.model.operations.command_line import typed
from tests.servers.process import PROJECT

NAMED = re.compile(r"`replicator ([^`]+)`")
HOLE = "1"
"""Stands for what a message fills in: the name of a target, an offset."""
NAMES = {"demo", "points rotate", HOLE}
"""What is named as a verb, and not to be typed."""
AS_OPTIONS = ["-x", "--yes", "- y", "a -- b", "it's"]
STANDS_FOR = {"OFFSET": "1", "ROLE": "operator"}


def texts(path: Path) -> Iterator[str]:
    """Yield each text that a module writes, with something for what is filled in."""
    tree = ast.parse(path.read_text())
    documents = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in documents:
            continue
        if isinstance(node, ast.JoinedStr | ast.Constant):
            yield text(node)


def text(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    parts = (one.value if isinstance(one, ast.Constant) else HOLE for one in node.values)
    return "".join(map(str, parts))


@cache
def commands() -> list[str]:
    found = {
        command
        for path in (PROJECT / "replicator").rglob("*.py")
        if path.stem != "printed_commands"
        for text in texts(path)
        for command in NAMED.findall(" ".join(text.split()))
    }
    return sorted((found | remedies()) - NAMES)


def remedies() -> set[str]:
    """Return what `status` says to type against what is wrong."""
    tree = ast.parse((PROJECT / "replicator/services/monitoring/trouble.py").read_text())
    calls = (one for one in ast.walk(tree) if isinstance(one, ast.Call) and len(one.args) > 1)
    printed = [call.args[1] for call in calls if getattr(call.func, "id", "") == "Trouble"]
    found = {text(one) for one in printed if isinstance(one, ast.Constant | ast.JoinedStr)}
    assert len(found) > 3
    return found


def printed(config: str = "replicator.yaml", **environ: str) -> PrintedCommands:
    return PrintedCommands(config=Path(config), environ=environ)


def test_there_are_commands_in_messages():
    assert len(commands()) > 35


@pytest.mark.parametrize("command", commands())
def test_it_is_understood_as_it_is_typed(command: str, monkeypatch: pytest.MonkeyPatch):
    """By the real command line: the verb is there, no argument is missing, each option exists."""
    calls: list[Call] = []
    monkeypatch.setattr(verb, "run", lambda call, _: calls.append(call))
    monkeypatch.setattr(verb, "finish", lambda call, _: calls.append(call))
    name, *rest = shlex.split(printed("/etc/a b.yaml").command(command))[1:]
    args = [name, *(STANDS_FOR.get(word, word) for word in rest)]
    app(args, standalone_mode=False)
    assert [str(call.config_path) for call in calls] == ["/etc/a b.yaml"]


def test_one_that_cannot_be_typed_would_be_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verb, "run", lambda *_: pytest.fail("it was understood"))
    for command in ("apply --resume", "target create", "verify standby --deep", "nosuch"):
        with pytest.raises(SystemExit) as refused:
            app(command.split())
        assert refused.value.code == 2


def test_a_command_names_the_configuration_unless_it_is_found_without():
    assert printed().command("run") == "replicator run"
    assert printed("b.yaml").command("run") == "replicator run --config b.yaml"
    assert printed("b.yaml", REPLICATOR_CONFIG="b.yaml").command("run") == "replicator run"
    elsewhere = printed(REPLICATOR_CONFIG="b.yaml")
    assert elsewhere.command("run") == "replicator run --config replicator.yaml"


@pytest.mark.parametrize("name", [*AS_OPTIONS, "a`b", "`replicator x -- 'y`", '-`a"b\\'])
@pytest.mark.parametrize("verb_of", ["blame", "undelete"])
def test_a_name_that_looks_like_an_option_is_an_argument(
    name: str, verb_of: str, monkeypatch: pytest.MonkeyPatch
):
    calls: list[Call] = []
    monkeypatch.setattr(verb, "run", lambda call, _: calls.append(call))
    options = "--on standby" if verb_of == "undelete" else ""
    text = f"see `replicator {typed(verb_of, name, options)}`"
    completed = printed("/etc/a b.yaml").complete(text)
    args = shlex.split(completed.removeprefix("see `replicator ").removesuffix("`"))
    app(args, standalone_mode=False)
    assert [str(call.config_path) for call in calls] == ["/etc/a b.yaml"]
    assert args[-1] == name or args[1] == name


@pytest.mark.parametrize(
    "name", ["`replicator x -- 'y`", '`replicator x -- "y`', "`replicator x -- \\`"]
)
def test_a_name_that_is_no_whole_command_is_shown_as_it_is(name: str):
    shown = f"datasource {name} was dropped"
    assert printed("/etc/a b.yaml").complete(shown) == shown


def test_commands_are_quoted_in_one_place():
    """Whoever quotes a name by itself forgets what begins with a dash."""
    found = {
        str(path.relative_to(PROJECT / "replicator"))
        for path in (PROJECT / "replicator").rglob("*.py")
        if re.search(r"replicator [a-z -]+ \{shlex\.quote", path.read_text())
    }
    assert found == set()


def test_a_message_is_completed_with_the_only_target_and_the_store_that_was_asked():
    text = "see `replicator points`, then `replicator target create TARGET`"
    assert printed().complete(text) == text
    assert printed().complete(text, target="a b").endswith("`replicator target create 'a b'`")
    alone = PrintedCommands(config=Path("rescue.yaml"), environ={}, store="vault").complete(text)
    assert alone.startswith("see `replicator points --from vault --config rescue.yaml`, then")
