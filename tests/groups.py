"""A pytest plugin that keeps the tests of a group in one process, as `xdist_group` promises.

pytest-xdist 3.8 tells the scheduler a test's group by a suffix of the test's id. It writes that to
an attribute from which pytest 9.2 no longer takes the id, so each process started every server.
"""

from typing import Final

import pytest
from _pytest.nodeid import NodeId

MARK: Final = "xdist_group"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give the ids of tests with a group the suffix that `--dist loadgroup` looks for."""
    if not getattr(config.option, "loadgroup", False):  # only in a process that runs tests
        return
    for item in items:
        if suffix := _suffix(item):
            item._id = NodeId.parse(item.nodeid.removesuffix(suffix) + suffix)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Refuse parameters without an order: two processes would collect different tests."""
    for mark in metafunc.definition.iter_markers("parametrize"):
        values = mark.args[1] if len(mark.args) > 1 else mark.kwargs.get("argvalues")
        if isinstance(values, set | frozenset):
            pytest.fail(f"{metafunc.definition.nodeid}: sort the set of its parameters")


def _suffix(item: pytest.Item) -> str:
    names = {str(mark.args[0]) for mark in item.iter_markers(MARK)}
    return f"@{'_'.join(sorted(names))}" if names else ""
