"""What may be asked for over HTTP is what the command line takes, and nothing else."""

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from replicator.cli.main import VERBS
from replicator.control.asked.kept_cuts import HoldCreateAsked
from replicator.control.asked.planned import Planned, RestoreAsked
from replicator.control.asked.upkeep import DrillAsked, VerifyAsked
from replicator.control.asked.verb_asked import Argument, Flag, VerbAsked
from replicator.control.asked.verbs import AnyJob, AnyPlan

EVERY: list[type[VerbAsked]] = [
    *get_args(get_args(AnyJob)[0]),
    *get_args(get_args(AnyPlan)[0]),
]
GROUPS_OF_THEIR_OWN = {"restore": "TARGET", "drill": "<TARGET>"}
"""Groups whose verb without a word has a name of its own."""


def command(words: tuple[str, ...]) -> Any:
    """Return the command that some words are typed for."""
    name, *rest = [word for word in words if not word.startswith("-")]
    found = VERBS[name].command(name)
    if getattr(found, "commands", None):
        step = rest[0] if rest else GROUPS_OF_THEIR_OWN.get(name)
        return found if step is None else found.commands[step]
    return found


def marks(asked: type[VerbAsked], kind: type) -> list[Any]:
    return [
        mark
        for one in asked.model_fields.values()
        for mark in one.metadata
        if isinstance(mark, kind)
    ]


@pytest.mark.parametrize("asked", EVERY, ids=lambda one: one.__name__)
def test_each_member_is_an_option_or_an_argument_of_its_verb(asked: type[VerbAsked]):
    params = command(asked.words).params
    options = {name for one in params for name in (*one.opts, *one.secondary_opts)}
    fixed = {word for word in asked.words if word.startswith("-")}
    looks = set(asked.looks) | {"--yes"} if issubclass(asked, Planned) else set()
    assert {flag.name for flag in marks(asked, Flag)} | fixed | looks <= options
    arguments = [one for one in params if one.param_type_name == "argument"]
    assert len(marks(asked, Argument)) <= len(arguments)


def test_each_member_but_its_name_reaches_the_verb():
    silent = {
        f"{asked.__name__}.{name}"
        for asked in EVERY
        for name, one in asked.model_fields.items()
        if not any(isinstance(mark, Flag | Argument) for mark in one.metadata)
    }
    assert silent - {"RestoreAsked.quick"} == {f"{asked.__name__}.verb" for asked in EVERY}


def test_a_request_is_a_command_line_in_which_names_are_never_options():
    asked = HoldCreateAsked.model_validate(
        {"name": "audit", "on": "standby", "reason": "--yes", "to_offset": 7}
    )
    assert asked.arguments() == [
        "hold", "create", "--on=standby", "--reason=--yes", "--to-offset=7", "--", "audit",
    ]  # fmt: skip
    assert VerifyAsked(target="standby", rolling=True).arguments() == [
        "verify", "--level=rows", "--subset=100%", "--rolling", "--", "standby",
    ]  # fmt: skip
    assert DrillAsked(target="vault").arguments() == ["drill", "--", "vault"]


@pytest.mark.parametrize(
    ("asked", "touched", "changed"),
    [
        (RestoreAsked(target="a", latest=True), ("a",), ("a",)),
        (RestoreAsked(target="a", into="b", latest=True), ("a", "b"), ("b",)),
        (RestoreAsked(from_store="a", into="b", latest=True), ("b", "a"), ("b",)),
    ],
)
def test_a_request_says_which_targets_it_names_and_which_it_changes(
    asked: VerbAsked, touched: tuple[str, ...], changed: tuple[str, ...]
):
    assert (asked.touched, asked.changed) == (touched, changed)


@pytest.mark.parametrize(
    "wrong",
    [
        {"verb": "verify", "target": "standby", "set": "x=y"},
        {"verb": "verify", "target": "--config=/etc/passwd"},
        {"verb": "verify", "target": "standby", "level": "deep"},
        {"verb": "verify", "target": "standby", "subset": "5% --yes"},
        {"verb": "log", "limit": 10_000_000},
        {"verb": "log", "datasource": "a\nb"},
        {"verb": "run"},
        {"verb": "token create"},
        {"verb": "restore", "target": "standby"},
    ],
)
def test_what_is_no_request_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValidationError):
        TypeAdapter(AnyJob).validate_python(wrong)
