"""deploy/systemd: units that systemd understands, with the program's exit codes and options."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from replicator import errors
from replicator.cli import verb
from replicator.cli.command import Call
from replicator.cli.main import app
from replicator.cli.terminal.signals import GRACE_S
from replicator.config import Settings
from replicator.errors import FencedError, ReplicatorError, TransientError

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "systemd" / "druid-replicator.service"
PASSIVE = UNIT.with_name("druid-replicator.service.d") / "passive.conf"
PROGRAM = "/opt/druid-replicator/bin/replicator"
SECONDS = re.compile(r"(\d+)s")


def lines(path: Path) -> list[tuple[str, str]]:
    """Return the settings of a unit in their order."""
    found = [line for line in path.read_text().splitlines() if "=" in line and line[0] != "#"]
    return [(name, value) for name, _, value in (line.partition("=") for line in found)]


def last(path: Path, name: str) -> str:
    return [value for one, value in lines(path) if one == name][-1]


def codes(path: Path) -> set[int]:
    return {int(code) for code in last(path, "RestartPreventExitStatus").split()}


def for_a_person() -> set[int]:
    """Return the exit codes of errors that go away for no restart."""
    found = [one for one in vars(errors).values() if isinstance(one, type)]
    classes = [one for one in found if issubclass(one, ReplicatorError)]
    passing = {ReplicatorError.exit_code, TransientError.exit_code}
    return {one.exit_code for one in classes} - passing


def test_it_is_started_again_after_what_may_pass_and_after_nothing_else():
    assert last(UNIT, "Restart") == "on-failure"
    assert codes(UNIT) == for_a_person()


def test_a_passive_one_is_started_again_when_the_other_has_taken_over():
    """It waits then; without `--passive` both would take over from each other for ever."""
    assert codes(UNIT) - codes(PASSIVE) == {FencedError.exit_code}
    assert codes(PASSIVE) < codes(UNIT)
    first = next(value for name, value in lines(PASSIVE) if name == "RestartPreventExitStatus")
    assert first == "", "systemd adds to what the unit has, unless that is emptied before"


def test_what_the_page_says_of_exit_codes_is_what_the_units_do():
    table = (ROOT / "docs" / "operations.md").read_text().partition("## Exit codes")[2]
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| ")]
    said = {int(code): answer.strip() for code, answer, _ in rows if code.strip().isdecimal()}
    assert {code for code, answer in said.items() if answer.startswith("no")} == for_a_person()
    assert {code for code, answer in said.items() if answer.startswith("yes")} >= {1, 8, 143}


def test_work_in_hand_may_end_before_it_is_killed():
    drain_s = Settings.model_fields["drain_s"].default
    stop = SECONDS.fullmatch(last(UNIT, "TimeoutStopSec"))
    assert stop is not None
    assert int(stop[1]) > drain_s + GRACE_S


@pytest.mark.parametrize("path", [UNIT, PASSIVE], ids=["unit", "passive"])
def test_what_it_starts_is_understood(path: Path, monkeypatch: pytest.MonkeyPatch):
    calls: list[Call] = []
    monkeypatch.setattr(verb, "run", lambda call, _: calls.append(call))
    program, *args = shlex.split(last(path, "ExecStart"))
    app(args, standalone_mode=False)
    assert (program, [call.command for call in calls]) == (PROGRAM, ["run"])


def test_the_manual_page_that_it_names_is_there():
    name = re.fullmatch(r"man:([\w-]+)\((\d)\)", last(UNIT, "Documentation"))
    assert name is not None
    assert (ROOT / "man" / f"{name[1]}.{name[2]}").exists()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_every_line(tmp_path: Path):
    """It says nothing of any; a misspelt setting would be ignored, with a word."""
    unit = tmp_path / UNIT.name
    text = UNIT.read_text().replace(PROGRAM, sys.executable)
    unit.write_text(re.sub(r"(?m)^#(LoadCredential|ReadWritePaths)=", r"\1=", text))
    dropped = tmp_path / PASSIVE.parent.name
    dropped.mkdir()
    (dropped / PASSIVE.name).write_text(PASSIVE.read_text().replace(PROGRAM, sys.executable))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
    )
    assert (done.returncode, done.stderr) == (0, "")
