"""A full disk under the output, and a reader that has ended, stop no work and hide no result."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from replicator.cli import main
from replicator.cli.outlets import NO_READER, Outlet
from replicator.cli.terminal import log_lines
from replicator.cli.terminal.log_lines import configure_logging, logger

FULL = Path("/dev/full")
FULL_WORDS = "No space left on device"


@pytest.fixture
def file() -> Iterator[int]:
    """A descriptor to write to, which the tests lead elsewhere."""
    reads, writes = os.pipe()
    os.close(reads)
    yield writes
    os.close(writes)


def lead(file: int, path: Path) -> None:
    other = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.dup2(other, file)
    os.close(other)


def test_what_cannot_be_written_is_lost_and_counted_until_it_can_be(file: int, tmp_path: Path):
    outlet = Outlet(file)
    assert (outlet.write(b"unread"), outlet.fault, outlet.lost) == (6, NO_READER, 1)
    assert outlet.cut_by == "", "nobody waits for it"
    lead(file, FULL)
    assert (outlet.write(b"lost"), outlet.fault, outlet.lost) == (4, FULL_WORDS, 2)
    assert outlet.cut_by == FULL_WORDS
    lead(file, tmp_path / "out")
    assert (outlet.write(b"whole"), outlet.fault, outlet.lost) == (5, "", 0)
    assert ((tmp_path / "out").read_bytes(), outlet.cut_by) == (b"whole", FULL_WORDS)


def test_the_next_line_of_a_log_says_how_many_were_lost(
    file: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    outlet = Outlet(file)
    monkeypatch.setattr(log_lines, "LOG", outlet)
    lead(file, FULL)
    outlet.write(b"one")
    outlet.write(b"two")
    configure_logging("INFO", {}, as_json=True)
    logger().info("cut applied")
    lead(file, tmp_path / "log")
    outlet.write(b"three")
    logger().info("cut applied")
    lost, whole = map(json.loads, capfd.readouterr().err.splitlines())
    assert (lost["lines_lost"], lost["lost_by"]) == (2, FULL_WORDS)
    assert "lines_lost" not in whole


def test_a_good_result_that_could_not_be_written_has_another_code(
    file: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    outlet = Outlet(file)
    monkeypatch.setattr(main, "OUTPUT", outlet)
    outlet.write(b"to a reader that has ended, like `head`")
    assert [main._unless_cut(SystemExit(code)).code for code in (None, 0, 10)] == [None, 0, 10]
    lead(file, FULL)
    outlet.write(b"to a full disk")
    assert [main._unless_cut(SystemExit(code)).code for code in (None, 0, 10)] == [8, 8, 10]
    assert f"could not be written: {FULL_WORDS}" in capsys.readouterr().err


@pytest.mark.parametrize(("leads_to", "code"), [("a full disk", 8), ("no reader", 0)])
def test_a_command_says_whether_its_output_arrived(file: int, leads_to: str, code: int):
    if leads_to == "a full disk":
        lead(file, FULL)
    ended = subprocess.run(
        [sys.executable, "-m", "replicator", "--version"],
        stdout=file, stderr=subprocess.PIPE, check=False,
    )  # fmt: skip
    assert ended.returncode == code
    assert (FULL_WORDS in ended.stderr.decode()) == (code != 0)
    assert b"Traceback" not in ended.stderr
