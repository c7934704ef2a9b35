"""How fast long work goes and when it ends, told once a minute where nobody sees a bar."""

import json

import pytest
from rich.progress import TimeRemainingColumn

from replicator.cli.terminal import bars as drawn
from replicator.cli.terminal.console import Paper
from replicator.cli.terminal.log_lines import configure_logging
from replicator.cli.terminal.pace import Paces
from replicator.cli.terminal.screen import Screen
from replicator.model.observation import Progress


def made(done: int, total: int | None = 1000) -> Progress:
    return Progress(what="scan the source", done=done, total=total, unit="rows")


def test_a_line_a_minute_has_the_rate_and_what_is_left():
    paces = Paces()
    assert paces.line(made(100), 0.0) is None
    assert paces.line(made(250), 59.0) is None
    assert paces.line(made(400), 60.0) == {
        "what": "scan the source",
        "done": 400,
        "total": 1000,
        "unit": "rows",
        "per_s": 5.0,
        "left": "2 min",
    }
    assert paces.line(made(500), 90.0) is None
    assert (paces.line(made(700), 120.0) or {})["left"] == "60 s"
    assert paces.line(made(1000), 180.0) is None, "it is done"


def test_what_begins_anew_is_measured_anew():
    paces = Paces()
    paces.line(made(0), 0.0)
    paces.line(made(900), 50.0)
    assert paces.line(made(10), 1000.0) is None
    assert (paces.line(made(70), 1060.0) or {})["per_s"] == 1.0
    paces.line(made(1000), 1061.0)
    assert paces.line(made(0), 5000.0) is None


def test_without_a_total_there_is_a_rate_and_no_end():
    paces = Paces()
    paces.line(made(0, None), 0.0)
    told = paces.line(made(120, None), 60.0) or {}
    assert (told["per_s"], "left" in told, "total" in told) == (2.0, False, False)


def test_work_that_stands_still_has_no_end():
    paces = Paces()
    paces.line(made(10), 0.0)
    assert "left" not in (paces.line(made(10), 60.0) or {"left": 0})


def test_a_service_logs_it(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    configure_logging("INFO", {}, as_json=True)
    with Screen(quiet=True) as screen:
        now = [0.0]
        monkeypatch.setattr(screen._console, "get_time", lambda: now[0])
        screen.observe(made(0))
        now[0] = 61.0
        screen.observe(made(610))
    (line,) = [json.loads(one) for one in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["per_s"], line["left"]) == ("progress", 10.0, "39 s")


def test_a_bar_has_the_rate():
    columns = [type(one) for one in drawn.bars(Paper()).columns]
    assert drawn._RateColumn in columns
    assert TimeRemainingColumn in columns
