"""Limits for the difference of two machines' clocks, within which their times can be compared.

An expiry has its own limit in the settings (`expiry.clock_skew_max`), because it deletes by time.
"""

from datetime import timedelta
from typing import Final

CLOCK_SKEW_MAX: Final = timedelta(seconds=5)
"""Limit for two machines that use NTP: Druid's, a storage's, the replicator's."""
LOG_CLOCK_SKEW_MAX: Final = timedelta(hours=1)
"""Limit for the log's clock and the source's: a search by time starts this much later."""
