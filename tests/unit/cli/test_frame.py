"""What the command line says of what nobody expected."""

import json
import sys
from io import StringIO
from pathlib import Path

import pytest

from replicator.cli.command import Call, Outcome, agree, finish
from replicator.errors import RefusedError


def fail() -> Outcome:
    raise KeyError("offset")


def fail_twice() -> Outcome:
    raise BaseExceptionGroup("both", [KeyError("offset"), ValueError("cut")])


@pytest.mark.parametrize("work", [fail, fail_twice])
def test_a_bug_says_that_it_is_one_and_how_to_report_it(capsys: pytest.CaptureFixture[str], work):
    with pytest.raises(SystemExit) as ended:
        finish(Call(command="apply", config_path=Path("replicator.yaml"), as_json=True), work)
    out, err = capsys.readouterr()
    assert ended.value.code == 1
    assert "KeyError: 'offset'" in err
    assert "this is a bug of the program" in err.splitlines()[-1]
    assert "report it" in json.loads(out)["error"]["hint"]


def test_where_nobody_can_be_asked_nobody_has_agreed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdin", StringIO("standby\n"))
    with pytest.raises(RefusedError, match="a restore needs --yes"):
        agree("standby", yes=False, doing="a restore")
    agree("standby", yes=True, doing="a restore")
