"""A name in the audit log is one principal's: no token is made that would stand for another one."""

from datetime import UTC, datetime, timedelta

import pytest

from replicator.cli.set_up.token import _checked, _refuse_taken
from replicator.control.access.tokens import new_token
from replicator.errors import ConfigError
from replicator.model.operations.access import AccessToken, Role

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def kept(name: str, until: datetime | None = None) -> AccessToken:
    return new_token(name=name, role=Role.ADMIN, targets=None, now=NOW, until=until)[0]


@pytest.mark.parametrize(
    "name", ["certificate robot", "Schedule nightly", "schedule", " certificate x"]
)
def test_names_of_those_without_a_token_are_theirs(name: str):
    with pytest.raises(ConfigError, match="audit log"):
        _checked(name)


@pytest.mark.parametrize("name", ["", " ", "a\nb"])
def test_a_name_is_something_that_can_be_read(name: str):
    with pytest.raises(ConfigError, match="printable"):
        _checked(name)


def test_a_name_is_free_again_once_its_token_opens_nothing():
    demo = kept("demo")
    with pytest.raises(ConfigError, match=f"'demo' already: {demo.id}"):
        _refuse_taken("demo", [kept("other"), demo], NOW)
    _refuse_taken("demo", [kept("demo", until=NOW - timedelta(seconds=1)), kept("demos")], NOW)
