"""Druid itself, asked by its APIs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from replicator.model.answer import Answer, Measure
from replicator.model.interval import Interval
from replicator.model.promotion import SupervisorState


class TellsRelease(Protocol):
    """Any server of a Druid."""

    async def release(self) -> str:
        """Return which release it runs, in its own words, like `33.0.0`.

        Raises:
            TransientError: no answer, or one that says to try later.
            ConfigError: access is denied, or this is no Druid.
        """
        ...


class DruidCluster(TellsRelease, Protocol):
    """A target's Overlord and Coordinator, asked and told by HTTP."""

    async def supervisor(self, id_: str) -> SupervisorState | None:
        """Return what the Overlord says of a supervisor, None when it does not know it.

        Raises:
            TransientError: no answer, or one that says to try later.
            ConfigError: access is denied.
        """
        ...

    async def supervise(self, spec: bytes) -> None:
        """Hand in a supervisor's spec, which replaces one of the same id.

        Raises:
            TransientError: as for `supervisor`; the spec may have been taken.
            ConfigError: access is denied, or the Overlord refuses the spec.
        """
        ...

    async def tiers(self) -> frozenset[str]:
        """Return the tiers that have Historicals now."""
        ...

    async def tier_aliases(self) -> Mapping[str, Sequence[str]]:
        """Return the tiers that each alias of the Coordinator stands for (Druid 38); often none."""
        ...

    async def properties(self) -> Mapping[str, str]:
        """Return the Coordinator's runtime properties, secrets hidden by Druid itself."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """An interval in which a Broker sees segments of a datasource."""

    interval: Interval
    is_realtime: bool
    """Whether a task is ingesting into it: what it answers is not all published yet."""


class QueryBroker(Protocol):
    """A cluster's Broker. It can only be asked, so the source's may be handed over as this.

    Raises, from every method:
        TransientError: no answer, none in time, or one that says to try later.
        ConfigError: access is denied, or the Broker refuses the query; the message says why.
    """

    async def datasources(self) -> Sequence[str]:
        """Return the datasources that it knows, sorted."""
        ...

    async def served(self, datasource: str) -> Sequence[Served]:
        """Return the intervals of the segments that answer for a datasource, each once."""
        ...

    async def columns(self, datasource: str) -> Mapping[str, str]:
        """Return each column with its SQL type, none when it does not know the datasource."""
        ...

    async def measure(
        self, datasource: str, measures: Sequence[Measure], interval: Interval
    ) -> Answer:
        """Return what the rows of an interval come to, computed now and not cached.

        Raises:
            NotFoundError: it does not know the datasource (any more).
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """How much of what a Druid should serve it serves."""

    served: int
    """Segments that answer queries, tombstones among them."""
    rows: Mapping[str, int]
    """Of those that no other overshadows, by datasource, as the segments themselves say."""
    unread: int
    """Of those, segments that the Broker has not asked for their columns and rows yet."""
    unknown: int
    """Used segments in the metadata store that the Coordinator does not know, or not yet."""
    unserved: int
    """Segments that it knows, that no other overshadows, and that nothing serves."""
    unserved_ids: Sequence[str]
    """Some of those."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningDruid:
    """A Druid that was started for a while."""

    broker: QueryBroker
    availability: Callable[[], Awaitable[Availability]]
    """Raises:
        TransientError: its Broker does not say.
    """


class ScratchDruid(Protocol):
    """A Druid of our own over scratch metadata and a scratch deep storage."""

    release: str
    """Which one, like `33.0.0`."""

    def running(self) -> AbstractAsyncContextManager[RunningDruid]:
        """Start it; after the block, and when this process is killed, nothing of it runs.

        Raises:
            TransientError: it does not start; the message has its last words.
        """
        ...
