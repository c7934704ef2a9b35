"""A pytest plugin that says where the time of a run went: total of each ring, slowest tests.

The figures are wall seconds of tests, several of which run at once: they compare rings with one
another, and a run with itself. The CPU seconds of the whole run compare it with others.
"""

import os
from collections import Counter, defaultdict
from typing import Final

import pytest

from tests.rings import IS_LONG, ring_of

SLOWEST: Final = 10


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what is marked `long` to `make test-long`."""
    if IS_LONG:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print seconds and tests of each ring, the slowest tests, and the CPU seconds of all."""
    tests: dict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                tests[report.nodeid] += report.duration
    if not tests:
        return
    seconds: dict[str, float] = defaultdict(float)
    count = Counter[str]()
    for nodeid, took in tests.items():
        seconds[ring_of(nodeid)] += took
        count[ring_of(nodeid)] += 1
    terminalreporter.section("seconds of each ring")
    for ring in sorted(seconds, key=lambda ring: seconds[ring], reverse=True):
        terminalreporter.write_line(f"{seconds[ring]:8.1f} s  {count[ring]:5} tests  {ring}")
    terminalreporter.section(f"{SLOWEST} slowest tests")
    for nodeid in sorted(tests, key=lambda nodeid: tests[nodeid], reverse=True)[:SLOWEST]:
        terminalreporter.write_line(f"{tests[nodeid]:8.1f} s  {nodeid}")
    spent = os.times()  # the processes that ran tests have ended, and what they started
    cpu_s = spent.user + spent.system + spent.children_user + spent.children_system
    terminalreporter.section(f"{cpu_s:.0f} CPU seconds with servers")
