"""Druid itself, by its HTTP APIs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # every verb imports the ports, and few of them speak with a Druid
    from replicator.model.druid.answer import Answer, Measure
    from replicator.model.druid.interval import Interval
    from replicator.model.druid.promotion import SupervisorState


class TellsRelease(Protocol):
    """Any server of a Druid."""

    async def release(self) -> str:
        """Return the release that the server runs, in its own words, like `33.0.0`.

        Raises:
            TransientError: the server does not answer, or asks to try later.
            ConfigError: access is denied, or this is not a Druid.
        """
        ...


class DruidCluster(TellsRelease, Protocol):
    """A target's Overlord and Coordinator."""

    async def supervisor(self, id_: str) -> SupervisorState | None:
        """Return the Overlord's state of a supervisor; None if the Overlord does not know it.

        Raises:
            TransientError: the Overlord does not answer, or asks to try later.
            ConfigError: access is denied.
        """
        ...

    async def supervise(self, spec: bytes) -> None:
        """Submit a supervisor's spec, which replaces the one with the same id.

        Raises:
            TransientError: as for `supervisor`; the spec may have been accepted.
            ConfigError: access is denied, or the Overlord refuses the spec.
        """
        ...

    async def tiers(self) -> frozenset[str]:
        """Return the tiers that have Historicals now."""
        ...

    async def tier_aliases(self) -> Mapping[str, Sequence[str]]:
        """Return the tiers of each alias in the Coordinator (Druid 38); often there are none."""
        ...

    async def properties(self) -> Mapping[str, str]:
        """Return the Coordinator's runtime properties, secrets hidden by Druid itself."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An interval in which a Broker sees segments of a datasource."""

    interval: Interval
    is_realtime: bool
    """Whether a task ingests into it: answers then include rows that are not published yet."""


class QueryBroker(Protocol):
    """A cluster's Broker. It can only be queried, so the source's may be handed over as this.

    Raises, from every method:
        TransientError: the Broker does not answer in time, or asks to try later.
        ConfigError: access is denied, or the Broker refuses the query; the message says why.
    """

    async def datasources(self) -> Sequence[str]:
        """Return the datasources that the Broker knows, sorted."""
        ...

    async def served(self, datasource: str) -> Sequence[Served]:
        """Return the intervals of the segments that answer for a datasource, each once."""
        ...

    async def columns(self, datasource: str) -> Mapping[str, str]:
        """Return each column with its SQL type; none if the Broker does not know the datasource."""
        ...

    async def measure(
        self, datasource: str, measures: Sequence[Measure], interval: Interval
    ) -> Answer:
        """Return the measures of the rows in an interval, computed now and not cached.

        Raises:
            NotFoundError: the Broker does not know the datasource (any more).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """How many of the segments that a Druid should serve it serves."""

    served: int
    """Number of segments that answer queries, tombstones included."""
    rows: Mapping[str, int]
    """Number of rows by datasource, by their visible segments."""
    unread: int
    """Number of visible segments whose columns and rows the Broker has not read yet."""
    unknown: int
    """Number of used segments in the metadata store that the Coordinator does not know (yet)."""
    unserved: int
    """Number of visible segments that the Coordinator knows and no server serves."""
    unserved_ids: Sequence[str]
    """Ids of some of the segments that no server serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDruid:
    """A Druid that was started for a trial."""

    broker: QueryBroker
    availability: Callable[[], Awaitable[Availability]]
    """Raises:
        TransientError: its Broker does not answer.
    """


class ScratchDruid(Protocol):
    """A scratch Druid over scratch metadata and a scratch deep storage."""

    release: str
    """Release of the Druid, like `33.0.0`."""

    def running(self) -> AbstractAsyncContextManager[RunningDruid]:
        """Start the Druid; after the block, or when this process is killed, none of it runs.

        Raises:
            TransientError: the Druid does not start; the message has the end of its log.
        """
        ...
