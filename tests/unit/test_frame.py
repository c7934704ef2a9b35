"""Nothing is changed unless somebody said so."""

import io

import pytest

from replicator.cli.frame import agree
from replicator.errors import RefusedError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_flag_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    agree("standby", yes=True, doing="a restore")


def test_where_nobody_can_be_asked_it_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("standby\n"))
    with pytest.raises(RefusedError, match="a restore needs --yes"):
        agree("standby", yes=False, doing="a restore")


def test_the_name_of_the_target_has_to_be_typed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.stdin", Terminal("standby\n"))
    agree("standby", yes=False, doing="a restore")
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    with pytest.raises(RefusedError, match="'yes' is not 'standby'"):
        agree("standby", yes=False, doing="a restore")
