"""What can be set about the canary: a tiny datasource whose rows show the lag that users meet."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from replicator.config.values import AsTuple, Duration, Positive, Section, TargetName


class CanarySettings(Section):
    """A datasource into which the source's own Druid ingests a row now and then."""

    datasource: Annotated[str, Field(min_length=1, max_length=200)]
    """Its name at the source and at the standbys; the replicator only asks for its newest row."""
    targets: Annotated[tuple[TargetName, ...], AsTuple] = ()
    """The standbys that are asked; default: all that have `druid.broker_url`."""
    look_interval_s: Positive = 5.0
    """Time between two questions to each Broker, in seconds, and so the precision."""
    window: Duration = timedelta(days=1)
    """How far back the newest row is looked for; longer than the time between two rows."""
    lost_after: Duration = timedelta(hours=1)
    """Time after which a row that did not arrive counts as lost."""
    query_timeout_s: Positive = 10.0
    """Longest run of one question, in seconds."""
