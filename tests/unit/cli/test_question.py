"""A question at a terminal stays on the screen until it is answered."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

ASKING = """
from replicator.cli.command import agree
from replicator.cli.terminal.console import paper
from replicator.cli.terminal.screen import Screen
from replicator.model.observation import Progress

with Screen() as screen:
    screen.observe(Progress(what="read the log", done=1, total=9, unit="events"))
    paper().print("rows to remove: 4")
    agree("standby", yes=False, doing="a restore")
    screen.observe(Progress(what="copy segments", done=1, total=9, unit="rows"))
    assert screen.is_moving
"""
REPAINTS_S = 0.1
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(params=[80, 200])
def terminal(request: pytest.FixtureRequest) -> Iterator[tuple[int, int, dict[str, str]]]:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "COLUMNS": str(request.param), "TERM": "xterm"}
    yield ours, theirs, environ
    os.close(ours)
    os.close(theirs)


def test_nothing_is_drawn_over_a_question(terminal: tuple[int, int, dict[str, str]]):
    """Bars are drawn ten times a second while there is progress, and never over the question."""
    ours, theirs, environ = terminal
    asking = subprocess.Popen(
        [sys.executable, "-c", ASKING], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    try:
        seen = b""
        while b"(standby): " not in ESCAPES.sub(b"", seen):
            assert select.select([ours], [], [], 60)[0], seen
            seen += os.read(ours, 4096)
        assert b"rows to remove: 4\r\n" in seen
        assert not select.select([ours], [], [], 5 * REPAINTS_S)[0], os.read(ours, 4096)
        os.write(ours, b"standby\n")
        while select.select([ours], [], [], 2)[0]:
            seen += os.read(ours, 4096)
        assert asking.wait(60) == 0, seen
        assert b"copy segments" in seen, "bars are back once there is progress"
    finally:
        asking.kill()
        asking.wait()


ASKING_IN_A_LOOP = """
from pathlib import Path
from replicator.cli.command import Call, Outcome, agree, finish
from replicator.cli.terminal.loop import in_loop

async def within():
    agree("standby", yes=False, doing="a restore")
    return Outcome(result={}, show=lambda _: None)

call = Call(command="restore", config_path=Path("replicator.yaml"))
finish(call, lambda: in_loop(within))
"""


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
    ids=["ctrl-c", "sigterm"],
)
def test_one_signal_at_a_question_is_enough(number: int, code: int, word: str):
    """The loop in which it is asked hears of no signal until there is an answer."""
    ours, theirs = pty.openpty()
    asking = subprocess.Popen(
        [sys.executable, "-c", ASKING_IN_A_LOOP], stdin=theirs, stdout=theirs, stderr=theirs
    )
    try:
        seen = b""
        while b"(standby): " not in ESCAPES.sub(b"", seen):
            assert select.select([ours], [], [], 60)[0], seen
            seen += os.read(ours, 4096)
        asking.send_signal(number)
        assert asking.wait(60) == code
        said = os.read(ours, 4096).decode()
        assert f"{word} at the question; nothing was changed" in said
    finally:
        asking.kill()
        asking.wait()
        os.close(ours)
        os.close(theirs)
