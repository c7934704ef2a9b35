"""Nothing that somebody called a thing is acted upon by a terminal, a log or markup."""

import dataclasses
import importlib
import inspect
import io
import json
import pkgutil
import types
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, NewType, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import structlog
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

import replicator.cli
from replicator.adapters.memory.area import MemoryArea
from replicator.cli.command import Call, Outcome, finish
from replicator.cli.terminal.console import Paper
from replicator.cli.terminal.log_lines import configure_logging
from replicator.cli.terminal.screen import Screen
from replicator.errors import NotFoundError, ReplicatorError
from replicator.model.log.locations import HashSet
from replicator.model.log.renaming import Renamed
from replicator.model.observed.faults import Waiting
from replicator.model.operations import shown
from replicator.model.operations.shown import escaped_json, printable
from replicator.model.store.canary import CanarySummary
from replicator.model.store.drill import Evidence
from replicator.model.store.testimony import WitnessMemory
from replicator.model.stream import StreamPosition
from replicator.services.monitoring.drops import RecentDrop
from replicator.services.monitoring.side_copies import MixedCopy
from replicator.services.notifications.queues import WebhookQueue
from replicator.services.schedules.record import ScheduleRecord
from replicator.services.schedules.states import LineState
from replicator.services.store.windows import Windows
from replicator.web.document import document

TIME = datetime(2024, 5, 1, tzinfo=UTC)
HOSTILE = "wiki[eu]\x1b]0;pwned\x07\x1b[2J\u202egro\x9b31m[/nonsense]:warning:\r\n\x7f"
SHOWN = printable(HOSTILE)
"""Every verb's every column has the first where a text can stand, and shows the second."""
WAYS = (SHOWN, repr(HOSTILE)[1:-1], json.dumps(HOSTILE)[1:-1])
"""Beside it as it is quoted in Python, and in JSON."""


def shows() -> Iterator[Any]:
    """Yield all functions of all verbs that print on a console."""
    for found in pkgutil.walk_packages(replicator.cli.__path__, "replicator.cli."):
        if found.name.startswith("replicator.cli.demo"):
            continue  # the demo shows what it made itself
        module = importlib.import_module(found.name)
        for name, function in vars(module).items():
            is_own = inspect.isfunction(function) and function.__module__ == found.name
            if is_own and Console in function.__annotations__.values():
                yield pytest.param(function, id=f"{found.name.rpartition('.')[2]}.{name}")


def made(kind: Any, *, absent: bool) -> Any:
    """Return a value of a type, every text in it hostile.

    Args:
        kind: Any annotation that a verb's values have.
        absent: Whether what can be None is.
    """
    origin, args = get_origin(kind), get_args(kind)
    if isinstance(kind, NewType) or origin is Annotated:
        return made(args[0] if args else kind.__supertype__, absent=absent)
    if origin is Literal:
        return args[0]
    if origin in {Union, types.UnionType}:
        some = type(None) if type(None) in args and absent else None
        return made(some or next(one for one in args if one is not type(None)), absent=absent)
    if origin is not None:
        return _generic(origin, args, absent=absent)
    return _plain(kind, absent=absent)


def _generic(origin: Any, args: tuple[Any, ...], *, absent: bool) -> Any:
    origin = get_origin(getattr(origin, "__value__", None)) or origin  # numpy's `type` statements
    if issubclass(origin, np.ndarray):
        return np.zeros(1, np.int64)
    if issubclass(origin, Mapping):
        found = _mapping(*args, absent=absent)
        return Counter(found) if origin is Counter else found
    if origin is tuple and args[-1:] != (...,):
        return tuple(made(one, absent=absent) for one in args)
    whole = origin if origin in {set, frozenset, tuple} else list
    return whole([made(args[0], absent=absent)])


def _mapping(key: Any, value: Any = int, *, absent: bool) -> dict[Any, Any]:
    if (key, value) == (str, Any):
        return DOCUMENT
    keys = list(key) if isinstance(key, type) and issubclass(key, Enum) else None
    return {
        one: made(value, absent=absent)
        for one in (keys if keys is not None else [made(key, absent=absent)])
    }


TYPES = {
    one.__name__: one
    for one in (
        CanarySummary,
        Evidence,
        LineState,
        MixedCopy,
        RecentDrop,
        Renamed,
        StreamPosition,
        WebhookQueue,
        WitnessMemory,
        Windows,
    )
} | {"NDArray": NDArray, "np": np}
"""Types that are only imported for annotations."""
DOCUMENT = {"kind": HOSTILE, "key": HOSTILE, "gone": True, "change": "changed", "price": None}
"""What verbs look for in a document of theirs that they show."""
PLAIN: Mapping[Any, Any] = {
    HashSet: HashSet(),
    ReplicatorError: NotFoundError(HOSTILE, hint=HOSTILE),
    str: HOSTILE,
    int: 7,
    float: 0.5,
    bool: True,
    bytes: HOSTILE.encode(errors="replace"),
    datetime: TIME,
    timedelta: timedelta(hours=5),
    Path: Path(HOSTILE),
    Any: HOSTILE,
    object: HOSTILE,
    type(None): None,
    Screen: Screen(quiet=True),
    ScheduleRecord: ScheduleRecord(MemoryArea()),
}


def _plain(kind: Any, *, absent: bool) -> Any:
    if kind is bool:
        return not absent
    if kind in PLAIN:
        return PLAIN[kind]
    if issubclass(kind, Enum):
        return next(iter(kind))
    hints = get_type_hints(kind, localns=TYPES, include_extras=True)
    if dataclasses.is_dataclass(kind):
        names = [one.name for one in dataclasses.fields(kind) if one.init]
    else:
        names = list(getattr(kind, "_fields", ()))
    assert names, f"{kind} has no fields: say in PLAIN what it can be"
    return kind(**{name: made(hints[name], absent=absent) for name in names})


def printed(show: Callable[..., Any], *, absent: bool) -> str:
    paper = Paper()
    paper.file = io.StringIO()
    paper._width = 5000
    hints = get_type_hints(show, localns=TYPES, include_extras=True)
    given = {
        name: paper if kind is Console else made(kind, absent=absent)
        for name, kind in hints.items()
        if name != "return"
    }
    show(**given)
    return paper.file.getvalue()


def squeezed(text: str) -> str:
    """Return a text without its spaces and line feeds: some verbs break their lines."""
    return "".join(text.replace("␍␊", "").split())


def unprintable(text: str) -> set[str]:
    return {one for one in text if not one.isprintable() and one != "\n"}


@pytest.mark.parametrize("absent", [False, True])
@pytest.mark.parametrize("show", [*shows()])
def test_what_a_verb_shows_has_names_as_they_are(show: Callable[..., Any], absent: bool):
    text = printed(show, absent=absent)
    assert not unprintable(text)
    assert "⚠" not in text, "a name was taken for an emoji"
    seen = squeezed(text)
    assert seen.count("wiki") == sum(seen.count(squeezed(way)) for way in WAYS), text


def test_names_are_in_what_is_shown():
    """Else the test above would look at nothing."""
    without = [
        show.id
        for show in shows()
        if not any("wiki" in printed(*show.values, absent=absent) for absent in (False, True))
    ]
    assert not without


def test_a_console_shows_strings_texts_and_cells_alike():
    paper = Paper()
    paper.file = io.StringIO()
    table = Table("name")
    table.add_row(HOSTILE)
    paper.print(HOSTILE, Text(HOSTILE, style="red"), sep="|")
    paper.print(table)
    shown = paper.file.getvalue()
    assert shown.count(SHOWN) == 2
    assert shown.count("wiki[eu]␛]0;pwned") == 3, "rich itself leaves out some of a text's"
    assert not unprintable(paper.file.getvalue())


def test_colours_are_still_those_of_the_verb():
    paper = Paper()
    paper.file, paper._force_terminal, paper._color_system = io.StringIO(), True, None
    coloured = Paper()
    coloured.file = io.StringIO()
    coloured._force_terminal = True
    coloured._color_system = Console(force_terminal=True, color_system="standard")._color_system
    coloured.print(Text("good", style="green"), f": {HOSTILE}", sep="")
    assert coloured.file.getvalue().startswith("\x1b[32mgood\x1b[0m: ")
    assert coloured.file.getvalue().count("\x1b") == 2


def test_log_lines_have_names_as_they_are(capsys: pytest.CaptureFixture[str]):
    name = "ev\x1b]0;pwned\x07"
    before = structlog.get_config()
    try:
        configure_logging("INFO", {"NO_COLOR": "1"})
        Screen(quiet=True).observe(Waiting(what=name, reason=HOSTILE, delay_s=1.0))
        structlog.get_logger("replicator").error(name, first=[name], row=name)
    finally:
        structlog.configure(**before)
        configure_logging("INFO", {})
    err = capsys.readouterr().err
    assert err.count("pwned") == 5
    assert err.count(printable(name)) == 4
    assert not unprintable(err)
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize(
    "failure", [NotFoundError(HOSTILE, hint=HOSTILE), KeyError(HOSTILE)], ids=["error", "bug"]
)
def test_errors_have_names_as_they_are(failure: Exception, capsys: pytest.CaptureFixture[str]):
    def fail() -> Outcome:
        raise failure

    with pytest.raises(SystemExit):
        finish(Call(command="status", config_path=Path("replicator.yaml"), as_json=True), fail)
    out, err = capsys.readouterr()
    assert not unprintable(err)
    assert not unprintable(out)
    assert json.loads(out)["error"]["message"] == str(failure)


def test_a_document_means_what_it_says_and_is_printable():
    for name in (HOSTILE, "plain", "ünï 日本", "\U000e0001\u2028\ufeff"):
        data = document("status", {"result": name}, TIME).decode()
        assert not unprintable(data)
        assert json.loads(data)["result"] == name
    assert escaped_json('"日本"') == '"日本"'
    assert escaped_json('"日\u202e本\U000e0001"') == '"日\\u202e本\\udb40\\udc01"'


def test_a_document_of_long_names_costs_little(monkeypatch: pytest.MonkeyPatch):
    """Anybody may ask for one: 100,000 names of 60 letters took the process 40 seconds."""
    looked: list[str] = []

    def look(run: str) -> str:
        looked.append(run)
        return run

    monkeypatch.setattr(shown, "_escape", look)
    escaped_json(f'["{"日本" * 500}", "{"日本" * 500}"]')
    assert len(looked) == 2


def test_what_is_shown_is_as_long_as_the_name():
    assert len(SHOWN) == len(HOSTILE)
    assert SHOWN.startswith("wiki[eu]␛]0;pwned␇␛[2J")
    assert printable("a\nb", lines=True) == "a\nb"
    assert printable("a\nb\u00a0c\ud800") == "a␊b c\ufffd"
