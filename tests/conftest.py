"""What holds for all tests."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping

import pytest
import structlog
from hypothesis import settings

from tests.event_loop import Loop

# A busy machine is no failure; pytest-timeout ends what hangs.
settings.register_profile("calm", deadline=None)
settings.register_profile("thorough", settings.get_profile("calm"), max_examples=500)
settings.load_profile("calm")

pytest_plugins = ["tests.leaks", "tests.report", "tests.simulation.marks"]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], AbstractEventLoop]]:
    """Run asynchronous tests on the loop that the program runs on: asyncio's own differs."""
    return {"uvloop": Loop}


@pytest.fixture(autouse=True)
def logging_is_as_it_was() -> Iterator[None]:
    """Let no test log to the standard error that a command within another test was given."""
    yield
    structlog.reset_defaults()
