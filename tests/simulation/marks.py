"""A pytest plugin: a simulation that never meets a killed segment proves nothing about it.

Each seed says in its report which rare roads it travelled, and a run with enough seeds fails when
one of them was travelled by none. Reports of xdist's workers come together in the main process, so
no seed is lived twice for this. A run of few seeds, a replay or a planted bug, is not judged.
"""

from typing import Final

import pytest

SEEDS_MIN: Final = 40
"""With so many seeds every road is travelled, but for the rarest."""
RAREST_MIN: Final = 400
"""With so many seeds that one is, too: one seed in forty does."""
PROPERTY: Final = "marks"
MARKS: Final = {
    "1 runs",
    "2 runs",
    "Applier was fenced",
    "Watcher was fenced",
    "acquired the log and was not told",
    "acquired the target and was not told",
    "an attempt was given up",
    "an empty cut was applied",
    "appended and was not told",
    "committed and was not told",
    "a hold kept what would have expired",
    "a storage that was away was waited for",
    "bytes expired",
    "changes were found by versions",
    "every row was read: broken",
    "every row was read: due",
    "every row was read: start",
    "every row was read: unavailable",
    "every row was read: written",
    "expired",
    "expiry: FencedError",
    "expiry: TransientError",
    "orphans were removed",
    "what has expired was not restored",
    "gap: killed_before_copied",
    "gap: object_changed",
    "kept a file and was not told",
    "no row was read",
    "restored",
    "restored by reference",
    "restored from the store alone: /archive/segments",
    "restored from the store alone: /standby/segments",
    "stored and was not told",
    "the log was lost",
    "the log was trimmed",
    "the log was trimmed too far",
}
RAREST: Final = {"gap: object_missing"}
_seeds: Final = dict[str, set[str]]()
"""What each seed that passed has met, by its node id."""


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Take note of what a seed has met."""
    for name, value in report.user_properties:
        if name == PROPERTY and report.when == "call" and report.passed:
            _seeds[report.nodeid] = set(str(value).split("\n"))


def missing() -> set[str]:
    """Return the roads that none of these seeds travelled; none when there are too few."""
    found = set[str]().union(*_seeds.values())
    wanted = MARKS if len(_seeds) >= SEEDS_MIN else set[str]()
    return (wanted | RAREST if len(_seeds) >= RAREST_MIN else wanted) - found


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run whose seeds have left out a road."""
    if not hasattr(session.config, "workerinput") and missing():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out."""
    if left := missing():
        terminalreporter.section("simulation", red=True)
        terminalreporter.write_line(f"{len(_seeds)} seeds never met: {', '.join(sorted(left))}")
