"""One target that is away hides none of the others; what was not seen is said, also in JSON."""

from dataclasses import asdict

from replicator.cli.each_target import exit_code, of_each
from replicator.cli.points_text import holds_outcome, points_outcome
from replicator.cli.terminal.console import Paper
from replicator.cli.terminal.paragraphs import listing
from replicator.errors import ConfigError, TransientError
from replicator.services.inspection.points_report import HoldsReport, PointsReport, not_seen

AWAY = TransientError("postgresql://db2/druid: connection refused")
WRONG = ConfigError("the password is refused", hint="see STANDBY_PASSWORD")


async def look(name: str) -> str:
    if name == "b":
        raise AWAY
    if name == "c":
        raise WRONG
    return name.upper()


async def test_each_is_looked_at_and_the_worst_failure_decides_the_exit_code():
    found, failures = await of_each("abcd", look)
    assert found == {"a": "A", "d": "D"}
    assert [one.target for one in failures] == ["b", "c"]
    assert asdict(failures[1]) == {
        "target": "c",
        "type": "ConfigError",
        "message": "the password is refused",
        "hint": "see STANDBY_PASSWORD",
    }
    assert exit_code(failures) == max(AWAY.exit_code, WRONG.exit_code)
    assert exit_code([]) == 0


def test_what_was_not_seen_is_said_in_every_list():
    failures = [not_seen("b", AWAY)]
    points = PointsReport(cuts=0, first=None, last=None, points=[], targets=[], failures=failures)
    for outcome in (
        points_outcome(points),
        holds_outcome(HoldsReport(holds=[], faults=[], failures=failures)),
    ):
        paper = Paper()
        with paper.capture() as said:
            outcome.show(paper)
        assert "NOT SEEN b: postgresql://db2/druid: connection refused" in said.get()
        assert "nothing is held" not in said.get()
        assert outcome.exit_code == AWAY.exit_code
        assert outcome.result["failures"][0]["target"] == "b"


def test_no_cell_of_a_table_is_cut():
    heads = ("id", "made", "why not")
    row = ("n-1", "2026-11-30T11:43:23Z", "the webhook of the pager answered 503 to this")
    assert list(listing(heads, [row], 80)) == [
        "id   made                  why not",
        "n-1  2026-11-30T11:43:23Z  the webhook of the pager answered 503 to this",
    ]
    assert list(listing(heads, [row], 60)) == [
        "n-1  made 2026-11-30T11:43:23Z",
        "     why not the webhook of the pager answered 503 to this",
    ]
