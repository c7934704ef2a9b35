"""Tests of a group run in one process."""

from argparse import Namespace
from typing import Any, cast

import pytest
from xdist.scheduler import LoadGroupScheduling

from tests import groups

GROUPS = {"test_alone[a@b]": None, "test_grouped[a@b]": "stores", "test_grouped_too": "stores"}


@pytest.fixture
def items(request: pytest.FixtureRequest) -> list[pytest.Item]:
    found: list[pytest.Item] = []
    for name, group in GROUPS.items():
        item = pytest.Function.from_parent(request.node.parent, name=name, callobj=lambda: None)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
        found.append(item)
    return found


@pytest.mark.parametrize("times", [1, 2])
def test_the_scheduler_sees_the_group_of_each_test(items: list[pytest.Item], times: int):
    """Also when pytest-xdist has written it already."""
    alone = items[0].nodeid
    config = cast(pytest.Config, Namespace(option=Namespace(loadgroup=True)))
    for _ in range(times):
        groups.pytest_collection_modifyitems(config, items)
    scheduling = cast(Any, None)
    scopes = [LoadGroupScheduling._split_scope(scheduling, item.nodeid) for item in items]
    assert scopes == [alone, "stores", "stores"]
    assert items[1].nodeid.endswith("test_grouped[a@b]@stores")


def test_parameters_without_an_order_are_refused(request: pytest.FixtureRequest):
    """Each process would collect another list of tests, and pytest-xdist runs none."""
    item = pytest.Function.from_parent(request.node.parent, name="test_x", callobj=lambda: None)
    item.add_marker(pytest.mark.parametrize("name", {"a", "b"}))
    metafunc = cast(pytest.Metafunc, Namespace(definition=item))
    with pytest.raises(pytest.fail.Exception, match="sort the set"):
        groups.pytest_generate_tests(metafunc)
