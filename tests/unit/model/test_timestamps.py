"""Times that somebody else has set can be reckoned with."""

from datetime import UTC, datetime

import pytest

from replicator.model.timestamps import FIRST_YEAR, LAST_YEAR, at_seconds


@pytest.mark.parametrize(
    ("seconds", "year"),
    [(-1e18, FIRST_YEAR), (-1.0, FIRST_YEAR), (1e12, LAST_YEAR), (1e300, LAST_YEAR)],
)
def test_a_time_beyond_the_calendar_is_its_end(seconds: float, year: int):
    assert at_seconds(seconds).year == year


def test_any_other_time_is_itself():
    assert at_seconds(1_700_000_000.5) == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)
