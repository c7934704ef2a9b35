"""Where a target's rows come from, and what the services of one process share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING

from replicator.services.history.reader import RECORDS_PER_READ_MAX, History

if TYPE_CHECKING:
    from replicator.model.load_spec import SourceLayout
    from replicator.model.observation import Observer
    from replicator.ports import Bases, Clock, EventLog, Workers


@dataclass(frozen=True, slots=True, kw_only=True)
class HistorySource:
    """Source of a target's rows."""

    source: str
    """Name of the source in every event."""
    layout: SourceLayout
    log: EventLog
    bases: Bases


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The tools shared by all services of one process."""

    workers: Workers
    clock: Clock
    rng: Random
    observer: Callable[[str], Observer]
    """Returns the observer of a target's services, by the target's name."""
    records_per_read_max: int = RECORDS_PER_READ_MAX
    """Number of a log's records in memory at once; the settings limit rows that are written."""

    def reporting_to(self, observer: Observer) -> Tools:
        """Return these tools for services that all report to one observer."""
        return replace(self, observer=lambda _: observer)


def history_of(history_source: HistorySource, tools: Tools, observer: Observer) -> History:
    """Return the reader of the history that a target's rows come from."""
    return History(
        history_source.log,
        source=history_source.source,
        workers=tools.workers,
        bases=history_source.bases,
        records_per_read_max=tools.records_per_read_max,
        observer=observer,
    )
