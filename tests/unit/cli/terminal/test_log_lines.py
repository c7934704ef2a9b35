"""What `run` logs: who, how much, how late; nothing when nothing happens; JSON when asked for."""

import json
from datetime import UTC, datetime

import pytest

from replicator.cli.main import hoisted
from replicator.cli.terminal.log_lines import configure_logging
from replicator.cli.terminal.screen import Screen
from replicator.model.event import CutNumber, Offset
from replicator.model.observation import (
    BaseWritten,
    CutApplied,
    CutPublished,
    DrillEnded,
    ObjectCopied,
    Waiting,
)


def applied(number: int, rows: int, *, is_filling: bool = False) -> CutApplied:
    return CutApplied(
        cut=CutNumber(number),
        offset=Offset(9),
        rows=rows,
        source_time=datetime(2026, 1, 1, tzinfo=UTC),
        is_filling=is_filling,
    )


def published(number: int, events: int) -> CutPublished:
    return CutPublished(
        cut=CutNumber(number), offset=Offset(9), events=events, types={}, scanned_rows=9, poll_s=0.1
    )


def copied(*, reused: bool = False) -> ObjectCopied:
    return ObjectCopied(location="x", size_bytes=7, reused=reused, streamed=True)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_a_line_of_a_target_names_it_and_what_it_took(capsys: pytest.CaptureFixture[str]):
    configure_logging("INFO", {}, as_json=True)
    with Screen(quiet=True) as screen:
        screen.follow()
        standby, vault = screen.of("standby"), screen.of("vault")
        for one in (copied(), copied(), copied(reused=True)):
            standby(one)
        vault(copied())
        standby(applied(1, 5, is_filling=True))
        vault(applied(1, 5))
        vault(Waiting(what="apply", reason="it is away", delay_s=1.0))
    filled, other, waiting = lines(capsys)
    assert (filled["event"], filled["target"], filled["segments"]) == (
        *("first filling done", "standby"),
        2,
    )
    assert (filled["bytes"], filled["already_there"]) == (14, 1)
    assert (other["event"], other["target"], other["bytes"]) == ("cut applied", "vault", 7)
    assert (waiting["event"], waiting["target"]) == ("waiting", "vault")
    assert isinstance(filled["lag_s"], float)


def test_nothing_is_logged_when_nothing_happens(capsys: pytest.CaptureFixture[str]):
    configure_logging("INFO", {}, as_json=True)
    with Screen(quiet=True) as screen:
        screen.follow()
        for number in range(1, 9):
            screen.observe(published(number, 0))
            screen.of("standby")(applied(number, 0))
        screen.observe(published(9, 3))
        screen.of("standby")(applied(9, 3))
    assert [(one["event"], one["cut"]) for one in lines(capsys)] == [
        ("cut published", 1),
        ("cut applied", 1),
        ("cut published", 9),
        ("cut applied", 9),
    ]


def test_a_verb_that_ends_logs_only_what_its_answer_does_not_say(
    capsys: pytest.CaptureFixture[str],
):
    configure_logging("INFO", {}, as_json=True)
    with Screen(quiet=True) as screen:
        screen.of("standby")(copied())
        screen.of("standby")(applied(1, 5, is_filling=True))
        screen.observe(published(9, 3))
        screen.observe(BaseWritten(cut=CutNumber(1), offset=Offset(1), rows=5))
        screen.observe(DrillEnded(evidence=None, failure="its store is away"))
        screen.of("standby")(Waiting(what="apply", reason="it is away", delay_s=1.0))
    assert [one["event"] for one in lines(capsys)] == ["waiting"]


def test_the_options_of_the_program_may_stand_behind_the_verb():
    assert hoisted(["run", "--log-format", "json", "--target", "a", "--log-level=error"]) == [
        *("--log-format", "json", "--log-level=error", "run", "--target", "a")
    ]
    assert hoisted(["hold", "create", "--reason", "--log-format", "x"]) == [
        *("hold", "create", "--reason", "--log-format", "x")
    ]
