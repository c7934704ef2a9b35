"""What may be requested over HTTP is what the command line takes, and nothing else."""

from typing import Any, get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from replicator.cli.main import VERBS
from replicator.control.requests.kept_cuts import HoldCreateRequest
from replicator.control.requests.planned import Planned, RestoreRequest
from replicator.control.requests.upkeep import DrillRequest, VerifyRequest
from replicator.control.requests.verb_request import Argument, Flag, VerbRequest
from replicator.control.requests.verbs import AnyJob, AnyPlan

EVERY: list[type[VerbRequest]] = [
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


def marks(form: type[VerbRequest], kind: type) -> list[Any]:
    return [
        mark
        for one in form.model_fields.values()
        for mark in one.metadata
        if isinstance(mark, kind)
    ]


@pytest.mark.parametrize("form", EVERY, ids=lambda one: one.__name__)
def test_each_member_is_an_option_or_an_argument_of_its_verb(form: type[VerbRequest]):
    params = command(form.words).params
    options = {name for one in params for name in (*one.opts, *one.secondary_opts)}
    fixed = {word for word in form.words if word.startswith("-")}
    looks = set(form.looks) | {"--yes"} if issubclass(form, Planned) else set()
    assert {flag.name for flag in marks(form, Flag)} | fixed | looks <= options
    arguments = [one for one in params if one.param_type_name == "argument"]
    assert len(marks(form, Argument)) <= len(arguments)


def test_each_member_but_its_name_reaches_the_verb():
    silent = {
        f"{form.__name__}.{name}"
        for form in EVERY
        for name, one in form.model_fields.items()
        if not any(isinstance(mark, Flag | Argument) for mark in one.metadata)
    }
    assert silent - {"RestoreRequest.quick"} == {f"{form.__name__}.verb" for form in EVERY}


def test_a_request_is_a_command_line_in_which_names_are_never_options():
    form = HoldCreateRequest.model_validate(
        {"name": "audit", "on": "standby", "reason": "--yes", "to_offset": 7}
    )
    assert form.arguments() == [
        "hold", "create", "--on=standby", "--reason=--yes", "--to-offset=7", "--", "audit",
    ]  # fmt: skip
    assert VerifyRequest(target="standby", rolling=True).arguments() == [
        "verify", "--level=rows", "--subset=100%", "--rolling", "--", "standby",
    ]  # fmt: skip
    assert DrillRequest(target="vault").arguments() == ["drill", "--", "vault"]


@pytest.mark.parametrize(
    ("form", "touched", "changed"),
    [
        (RestoreRequest(target="a", latest=True), ("a",), ("a",)),
        (RestoreRequest(target="a", into="b", latest=True), ("a", "b"), ("b",)),
        (RestoreRequest(from_store="a", into="b", latest=True), ("b", "a"), ("b",)),
    ],
)
def test_a_request_says_which_targets_it_names_and_which_it_changes(
    form: VerbRequest, touched: tuple[str, ...], changed: tuple[str, ...]
):
    assert (form.touched, form.changed) == (touched, changed)


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
