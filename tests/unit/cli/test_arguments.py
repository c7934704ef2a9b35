"""What is typed and cannot be read is refused in words, whatever it is; nothing is a traceback."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from replicator.cli.look.diff import _point
from replicator.cli.main import app
from replicator.cli.prove.verify import bytes_of, share_of
from replicator.cli.terminal.signals import terminated_code
from replicator.cli.terminal.typed import (
    LIST_MAX,
    OFFSET_MAX,
    parse_interval,
    parse_offset,
    parse_time,
)
from replicator.config.values import duration
from replicator.errors import ConfigError
from replicator.model.event import Offset
from replicator.model.plans.restore_point import ToOffset

ODD = st.one_of(
    st.text(),
    st.text("0123456789²٣-+:.TZeE%/ ", min_size=1),
    st.sampled_from(
        [
            "²",
            "9" * 5000,
            "0001-01-01T00:00:00+14:00",
            "9999-12-31T23:59:59-14:00",
            "9999-12-31T23:59:59Z",
            "1e-320%",
            "nan%",
            "9" * 400 + "GiB",
            "9" * 400 + "d",
        ]
    ),
)


@given(ODD)
def test_nothing_that_is_typed_is_a_traceback(text: str):
    for read in (parse_time, parse_offset, parse_interval, share_of, bytes_of, _point):
        with suppress(ConfigError):
            read(text)
    with suppress(ValueError):
        duration(text)


def test_numbers_that_fit_are_offsets():
    assert _point("12") == ToOffset(offset=Offset(12))
    for text in ("²", "٣", str(OFFSET_MAX + 1), "-1", ""):
        with pytest.raises(ConfigError):
            parse_offset(text)


@pytest.mark.parametrize(
    "args",
    [
        ["log", "--limit", str(LIST_MAX + 1)],
        ["blame", "wiki", "--limit", "9" * 30],
        ["restore", "standby", "--to-offset", str(2**63)],
        ["restore", "standby", "--before", "-1"],
        ["promote", "standby", "--drain-timeout-s", "nan"],
        ["promote", "standby", "--drain-timeout-s", "inf"],
    ],
)
def test_numbers_out_of_bounds_are_a_matter_of_usage(args: list[str]):
    done = CliRunner().invoke(app, args)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("number", "args", "code"),
    [
        (signal.SIGINT, ["check"], 130),
        (signal.SIGTERM, ["check"], 143),
        (signal.SIGTERM, ["apply", "standby", "--once"], 143),
        (signal.SIGTERM, ["run"], 0),
    ],
)
def test_a_signal_while_the_program_is_imported_has_its_own_code(
    number: int, args: list[str], code: int, tmp_path: Path
):
    """Typer is the first thing that is imported: here it sends the signal and never comes back."""
    (tmp_path / "typer.py").write_text(f"import os; os.kill(os.getpid(), {number})\nwhile 1: pass")
    done = subprocess.run(
        [sys.executable, "-m", "replicator", *args],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == code
    assert "Traceback" not in done.stderr
    assert "nothing was done" in done.stderr


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["run"], 0),
        (["apply", "a"], 0),
        (["watch", "--once"], 143),
        (["verify", "a"], 143),
        ([], 143),
    ],
)
def test_only_a_verb_that_follows_ends_well_when_it_is_terminated(args: list[str], code: int):
    assert terminated_code(args) == code
