"""What can be set: each field with its unit, its bounds and the reason for its default.

Nothing here reads a file or a variable; `loading.py` does. Secrets are never part of the settings,
only the name of the variable or of the file that holds one.
"""

from datetime import timedelta
from itertools import chain
from typing import Annotated, Self

from pydantic import Field, model_validator

from replicator.config.checks import (
    alone,
    collisions,
    hasty,
    locks,
    reserved,
    too_strict,
    undrilled,
    unkept,
    unschedulable_all,
    unwitnessed,
)
from replicator.config.clusters.clusters import SourceSettings, Targets
from replicator.config.clusters.drills import DrillSettings
from replicator.config.clusters.storages import (
    TransferSettings,
)
from replicator.config.logs import LogSettings
from replicator.config.operations.canary import CanarySettings
from replicator.config.operations.notifications import NotificationsSettings
from replicator.config.operations.prices import PricesSettings
from replicator.config.operations.schedules import SchedulesSettings
from replicator.config.operations.web import WebSettings
from replicator.config.retries import RetrySettings
from replicator.config.values import (
    Duration,
    Positive,
    Section,
    Size,
)
from replicator.errors import ConfigError

_STORE_HINT = (
    "without a source `target create` and `check` can be done, and `points`, `restore` and `verify`"
    " with `--from STORE`"
)


class WatchSettings(Section):
    """How the source is polled."""

    poll_interval_s: Positive = 10.0
    """Time between polls, in seconds, and so the floor of the lag.

    A poll reads the version of every row, and the contents of those that changed.
    """
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the interval by which it varies, so that watchers do not fall into step."""
    idle_cut_interval_s: Positive = 20.0
    """Time after which a source without changes closes an empty cut, in seconds.

    Each one is a restore point, and tells an idle source from a watcher that has stopped.
    """
    fetch_rows_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Rows fetched at a time; with payloads of 20 KB they are 20 MB in memory."""
    append_bytes_max: Annotated[Size, Field(ge=1 << 20, le=1 << 30)] = 2 << 20
    """Events of one cut that are appended together.

    Each append is a transaction, of 10 ms and more on Kafka; with 16 MiB the process takes 150 MB
    more, and the source's rows come no faster.
    """
    row_versions: bool = True
    """Whether rows with the version of an earlier poll count as unchanged; PostgreSQL has them.

    MariaDB's binary log, where the role may read it, says instead whether any row was written.
    Without, the source's database hashes every row at each poll: for a million of 2 KB 20 s of one
    of its cores.
    """
    full_scan_interval: Duration = timedelta(days=1)
    """Time after which a poll hashes every row, to verify that nothing was missed."""
    vanished_share_max: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the source's rows that may vanish between two polls; 1 allows all.

    More of them, most segments in use, are taken for another or an emptied database: the watcher
    publishes nothing and asks again at each poll, until `watch --once --accept-vanished`.
    """
    audit_rows: bool = False
    """Whether the rows of druid_audit are kept in the log, so that blame needs no source for them.

    They may quote whole supervisor specs, and stay in the log and in stores when Druid removes
    them. Each takes 56 bytes of the watcher's memory while Druid has it.
    """
    retry: RetrySettings = RetrySettings.defaults()
    """When to try a poll again."""


class QueryRetrySettings(RetrySettings):
    """When to ask a Broker again."""

    attempts_max: Annotated[int, Field(ge=1, le=1000)] = 3
    """Attempts before the failure counts as lasting; one of a query that is too slow is long."""


class QueriesSettings(Section):
    """How `verify --level query` compares what two Brokers answer."""

    in_flight_max: Annotated[int, Field(ge=1, le=256)] = 4
    """Intervals compared at once; each of them is one query on each Broker."""
    query_timeout_s: Positive = 120.0
    """Longest run of one query, in seconds; Druid ends it then, and one interval takes seconds."""
    columns_per_query_max: Annotated[int, Field(ge=1, le=1000)] = 100
    """Columns added up by one query; wider datasources take several."""
    interval_min_s: Positive = 86_400.0
    """Shorter intervals are compared together up to this, in seconds: an hour is not worth one."""
    repeats_max: Annotated[int, Field(ge=1, le=100)] = 4
    """Number of repeated queries for a difference before it is reported."""
    repeat_wait_s: Positive = 30.0
    """Time between two such queries, in seconds; lag and load time of a standby are shorter."""
    suspects_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Number of differing intervals after which the search ends."""
    retry: QueryRetrySettings = QueryRetrySettings.defaults()
    """When to repeat a query that failed transiently."""


class Settings(Section):
    """Everything that can be set."""

    source: SourceSettings | None = None
    """The cluster that is watched; without it only what targets keep themselves can be restored."""
    log: LogSettings | None = None
    """Log that keeps the history; it is required with `source`."""
    watch: WatchSettings = WatchSettings.defaults()
    """How the source is polled."""
    transfer: TransferSettings = TransferSettings.defaults()
    """How bytes are copied."""
    log_workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that read the log when all of it is needed: a restore, a proof, a watcher's start.

    They live only as long as that takes, and only for more than some ten thousand events. Each
    holds about 60 MB; 1 is this process alone.
    """
    queries: QueriesSettings = QueriesSettings.defaults()
    """How the answers of two Brokers are compared."""
    prices: PricesSettings | None = None
    """Prices of requests and bytes; default: none, and `restore plan` shows no price."""
    targets: Targets = {}
    """The clusters that are kept equal to the source, by their names."""
    drill: DrillSettings = DrillSettings.defaults()
    """Place and limits of drills."""
    canary: CanarySettings | None = None
    """A tiny datasource whose rows show the lag that users meet; default: none."""
    schedules: SchedulesSettings = {}
    """Verbs that run by themselves, by names of your choice; default: none."""
    notifications: NotificationsSettings | None = None
    """Where notifications of broken and mended promises are sent; default: nowhere."""
    web: WebSettings | None = None
    """Metrics, health and status over HTTP; default: none, no port is opened."""
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """How long work in hand may go on after the first signal to stop, in seconds.

    The default is the grace period that Kubernetes gives. What does not return, like a read of a
    mount that is gone, ends with the process 10 seconds later.
    """

    @property
    def watched(self) -> SourceSettings:
        """The source, for what cannot be done without one.

        Raises:
            ConfigError: there is none.
        """
        if self.source is None:
            raise ConfigError("the configuration has no `source`", hint=_STORE_HINT)
        return self.source

    @property
    def recorded(self) -> LogSettings:
        """The event log, for what cannot be done without one.

        Raises:
            ConfigError: there is none.
        """
        if self.log is None:
            raise ConfigError("the configuration has no `log`", hint=_STORE_HINT)
        return self.log

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if (self.source is None) != (self.log is None):
            missing = "source" if self.source is None else "log"
            raise ValueError(f"{missing} is missing: source and log go together")
        for problem in collisions(self.source, self.targets):
            raise ValueError(problem)
        together = (
            locks(self.source, self.targets),
            unschedulable_all(self.schedules, self.targets),
        )
        for problem in chain(*together):
            raise ValueError(problem)
        quiet_s = self.watch.idle_cut_interval_s + self.watch.poll_interval_s
        for name, target in self.targets.items():
            checks = (
                alone(name, target),
                hasty(name, target),
                reserved(name),
                unwitnessed(name, target, self.targets),
                too_strict(name, target, quiet_s),
                undrilled(name, target, self.schedules),
            )
            for problem in chain(*checks):
                raise ValueError(problem)
            if self.source is not None and self.log is not None:
                for problem in unkept(name, target, self.source, self.log):
                    raise ValueError(problem)
        return self
