"""What holds for all tests."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import settings

# A busy machine is no failure; pytest-timeout ends what hangs.
settings.register_profile("calm", deadline=None)
settings.register_profile("thorough", settings.get_profile("calm"), max_examples=500)
settings.load_profile("calm")

pytest_plugins = ["tests.leaks", "tests.report", "tests.simulation.marks"]


@pytest.fixture(autouse=True)
def logging_is_as_it_was() -> Iterator[None]:
    """Let no test log to the standard error that a command within another test was given."""
    yield
    structlog.reset_defaults()
