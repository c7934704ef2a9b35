"""Settings of the canary: a tiny datasource whose rows measure the lag that users see."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from replicator.config.values import AsTuple, Duration, Positive, Section, TargetName


class CanarySettings(Section):
    """A datasource into which the source's Druid ingests a row at short intervals."""

    datasource: Annotated[str, Field(min_length=1, max_length=200)]
    """Name of the datasource; the replicator only queries its newest row."""
    targets: Annotated[tuple[TargetName, ...], AsTuple] = ()
    """The queried standbys; default: all that have `druid.broker_url`."""
    look_interval_s: Positive = 5.0
    """Time between two queries of each Broker, in seconds, and therefore the precision."""
    window: Duration = timedelta(days=1)
    """Length of the queried interval; longer than the time between two rows."""
    lost_after: Duration = timedelta(hours=1)
    """Time after which a row that has not arrived counts as lost."""
    query_timeout_s: Positive = 10.0
    """Longest run of one query, in seconds."""
