"""How far the clocks of different machines may be apart before a comparison of their times fails.

An expiry has a limit of its own in the settings (`expiry.clock_skew_max`): it deletes by the clock.
"""

from datetime import timedelta
from typing import Final

CLOCK_SKEW_MAX: Final = timedelta(seconds=5)
"""Allowed between two machines that keep their time by NTP: Druid's, a storage's, our own."""
LOG_CLOCK_SKEW_MAX: Final = timedelta(hours=1)
"""Allowed between the log's clock and the source's: a search by time starts this much later."""
