"""What `run` logs: who, how much, how late; nothing when nothing happens; JSON when asked for."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from replicator.app.bystanders import bystander
from replicator.cli.main import hoisted
from replicator.cli.terminal.cut_lines import RetryLines
from replicator.cli.terminal.log_lines import configure_logging, logger
from replicator.cli.terminal.screen import Screen
from replicator.errors import DefectError, TransientError
from replicator.model.checkpoint import Gap
from replicator.model.event import CutNumber, Epoch, Offset
from replicator.model.observation import (
    BaseWritten,
    CutApplied,
    CutPublished,
    DrillEnded,
    EpochAcquired,
    GapOpened,
    ObjectCopied,
)
from replicator.model.observed.faults import ArchiveDamaged, Halted, Waiting, WentOn
from replicator.model.row import Kind


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


def test_what_an_earlier_attempt_has_copied_was_not_there_before(
    capsys: pytest.CaptureFixture[str],
):
    """An attempt that failed has copied two of five; the next finds them, and one of before."""
    configure_logging("INFO", {}, as_json=True)
    with Screen(quiet=True) as screen:
        screen.follow()
        standby = screen.of("standby")
        standby(EpochAcquired(epoch=Epoch(1)))
        for one in (copied(reused=True), copied(), copied()):
            standby(one)
        standby(Waiting(what="apply to standby", reason="it is away", delay_s=1.0))
        standby(EpochAcquired(epoch=Epoch(2)))
        for one in (*[copied(reused=True)] * 3, copied(), copied()):
            standby(one)
        standby(applied(1, 5, is_filling=True))
        standby(copied(reused=True))
        standby(applied(2, 1))
    _, filled, later = lines(capsys)
    assert (filled["segments"], filled["already_there"]) == (4, 1)
    assert (later["segments"], later["already_there"]) == (0, 1)


@pytest.mark.parametrize(("level", "single"), [("INFO", 1), ("DEBUG", 300)])
def test_an_outage_is_a_line_with_a_count_and_not_a_line_a_location(
    level: str, single: int, capsys: pytest.CaptureFixture[str]
):
    """Nothing is hidden: the rest is counted, and stands in `debug` one by one."""
    configure_logging(level, {}, as_json=True)
    with Screen(quiet=True) as screen:
        standby = screen.of("standby")
        for number in range(300):
            what, away = f"copy druid/{number}", "the bucket is away"
            standby(Waiting(what=what, reason=away, delay_s=1.0, is_part=True))
        standby(Waiting(what="apply to standby", reason="the bucket is away", delay_s=1.0))
        standby(applied(1, 5))
        standby(Waiting(what="copy druid/again", reason="away", delay_s=1.0, is_part=True))
    told = [one for one in lines(capsys) if one["event"] != "cut applied"]
    assert told.pop()["what"] == "copy druid/again", "another outage is told at once"
    first, *others, counted, step = told
    assert len(others) == single - 1
    assert (first["event"], first["what"], first["target"]) == (
        "waiting",
        "copy druid/0",
        "standby",
    )
    assert (counted["event"], counted["count"]) == ("retries", 299)
    assert (counted["what"], counted["target"]) == ("copy druid/299", "standby")
    assert (step["event"], step["what"]) == ("waiting", "apply to standby")


def test_damage_that_each_reading_meets_again_is_told_once_of_each_target(
    capsys: pytest.CaptureFixture[str],
):
    """One `points` of a trimmed log reads the same base six times."""
    configure_logging("INFO", {}, as_json=True)
    with Screen(quiet=True) as screen:
        for target in ("standby", "vault"):
            for _ in range(6):
                screen.of(target)(ArchiveDamaged(reason="a is missing"))
                screen.of(target)(applied(1, 5))
            screen.of(target)(ArchiveDamaged(reason="b is missing"))
    told = [(one["target"], one["reason"]) for one in lines(capsys)]
    both = ("a is missing", "b is missing")
    assert told == [(target, reason) for target in ("standby", "vault") for reason in both]


def test_a_long_outage_is_told_each_minute_and_the_rest_at_the_end(
    capsys: pytest.CaptureFixture[str],
):
    configure_logging("INFO", {}, as_json=True)
    retries = RetryLines()
    for second in range(0, 130, 10):
        one = Waiting(what=f"copy {second}", reason="away", delay_s=1.0, is_part=True)
        retries.tell("standby", one, float(second))
    retries.end("standby")
    retries.end("standby")
    said = [(one["event"], one.get("count"), one["what"]) for one in lines(capsys)]
    assert said == [
        ("waiting", None, "copy 0"),
        ("retries", 6, "copy 60"),
        ("retries", 6, "copy 120"),
    ]


def test_loops_that_wait_for_one_thing_say_so_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """An unmounted folder holds up the applier, the bases and the merging, again and again."""
    configure_logging("INFO", {}, as_json=True)
    loops, now_s = ("apply to standby", "write a base of standby", "merge the history of"), [0.0]
    with Screen(quiet=True) as screen:
        monkeypatch.setattr(screen._console, "get_time", lambda: now_s[0])
        standby, vault = screen.of("standby"), screen.of("vault")
        for now_s[0] in (0.0, 1.0, 59.0, 60.0, 61.0):
            for what in loops:
                standby(Waiting(what=what, reason="/mnt is empty", delay_s=1.0))
        standby(Waiting(what=loops[0], reason="the server is away", delay_s=1.0))
        vault(Waiting(what=loops[0], reason="/mnt is empty", delay_s=1.0))
        standby(applied(1, 5))
        standby(Waiting(what=loops[0], reason="/mnt is empty", delay_s=1.0))
    said = [(one["target"], one["reason"]) for one in lines(capsys) if one["event"] == "waiting"]
    assert said == [
        ("standby", "/mnt is empty"),
        ("standby", "/mnt is empty"),
        ("standby", "the server is away"),
        ("vault", "/mnt is empty"),
        ("standby", "/mnt is empty"),
    ]


def test_services_that_one_error_halts_say_so_in_one_line(capsys: pytest.CaptureFixture[str]):
    configure_logging("INFO", {}, as_json=True)
    with Screen(quiet=True) as screen:
        standby = screen.of("standby")
        for what in ("apply to standby", "write a base of standby"):
            standby(
                Halted(what=what, reason="it is altered", hint="mend it", exit_code=9, retry_s=60.0)
            )
        standby(WentOn(what="apply to standby"))
        standby(
            Halted(what="apply", reason="it is altered", hint="mend it", exit_code=9, retry_s=60.0)
        )
    assert [one["event"] for one in lines(capsys)] == ["halted", "goes on", "halted"]


def gap(key: str) -> Gap:
    return Gap(
        kind=Kind.SEGMENT,
        key=key,
        datasource="orders",
        reason="object_missing",
        detail="it is not there",
        opened=Offset(3),
    )


def test_a_gap_that_the_answer_names_is_not_logged_too(capsys: pytest.CaptureFixture[str]):
    configure_logging("INFO", {}, as_json=True)
    with Screen(quiet=True) as screen:
        screen.name_gaps_later()
        screen.of("standby")(GapOpened(gap=gap("a")))
    assert ([one.key for one in screen.gaps], lines(capsys)) == (["a"], [])


def test_a_gap_is_logged_when_there_is_no_answer(capsys: pytest.CaptureFixture[str]):
    configure_logging("INFO", {}, as_json=True)

    def broken_off() -> None:
        with Screen(quiet=True) as screen:
            screen.name_gaps_later()
            screen.of("standby")(GapOpened(gap=gap("a")))
            raise TransientError("the server went away in the middle")

    with pytest.raises(TransientError):
        broken_off()
    (line,) = lines(capsys)
    assert (line["event"], line["target"], line["row"]) == ("gap", "standby", "a")


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


async def test_what_stands_by_the_copies_says_what_a_defect_is_like_any_other(
    capsys: pytest.CaptureFixture[str],
):
    class Fails:
        def __init__(self, failure: Exception) -> None:
            self.failure = failure

        async def run(self, stop: asyncio.Event) -> None:
            stop.set()
            raise self.failure

    configure_logging("INFO", {}, as_json=True)
    logger()  # as `supervised` does before a service logs
    for failure in (TransientError("away", hint="wait"), KeyError("x")):
        await bystander("canary", Fails(failure)).run(asyncio.Event())
    away, defect = lines(capsys)
    assert (away["reason"], away["hint"], away.get("traceback")) == ("away", "wait", None)
    assert (defect["reason"], defect["hint"]) == ("KeyError: 'x'", DefectError.hint)
    assert "KeyError" in str(defect["traceback"])
