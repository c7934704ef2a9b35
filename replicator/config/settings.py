"""All settings: each field with its unit, its bounds and the reason for its default.

Reading files and variables is left to `loading.py`. Settings never contain a secret, only the name
of the variable or file that holds it.
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
    """Time between polls, in seconds, and therefore the least possible lag.

    A poll reads the version of every row and the contents of changed rows.
    """
    jitter: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the interval by which it varies, so that several watchers do not poll together."""
    idle_cut_interval_s: Positive = 20.0
    """Time after which a source without changes closes an empty cut, in seconds.

    Empty cuts are restore points, and distinguish an idle source from a stopped watcher.
    """
    fetch_rows_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Number of rows fetched at a time; with payloads of 20 KB they take 20 MB of memory."""
    append_bytes_max: Annotated[Size, Field(ge=1 << 20, le=1 << 30)] = 2 << 20
    """Size of the events of one cut that are appended together.

    Each append is a transaction, which takes at least 10 ms on Kafka. With 16 MiB the process needs
    150 MB more, and reads the source no faster.
    """
    row_bytes_max: Annotated[Size, Field(ge=1 << 20, le=48 << 20)] = 32 << 20
    """Largest event of a row in the log; a larger row stops the watcher, which names it.

    Druid's largest rows, such as lookups, have some megabytes. On Kafka `log.record_bytes_max`,
    which is smaller by default, applies as well.
    """
    clock_ahead_max: Duration = timedelta(days=2)
    """How far the source's clock may be ahead of this machine's; beyond it nothing is published.

    The times of cuts never go back: every later cut would keep the wrong time.
    """
    row_versions: bool = True
    """Whether rows with the same row version as in the last poll count as unchanged (PostgreSQL).

    On MariaDB the binary log, if the role may read it, shows whether any row was written. Without
    either, the source's database hashes every row at each poll: a million rows of 2 KB take 20 s of
    one of its cores.
    """
    full_scan_interval: Duration = timedelta(days=1)
    """Time after which a poll hashes every row, to verify that no change was missed."""
    vanished_share_max: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the source's rows that may vanish between two polls; 1 allows all.

    If more vanish, most of them used segments, the watcher suspects another or an emptied database.
    It then publishes nothing and looks again at each poll, until `watch --once --accept-vanished`.
    """
    audit_rows: bool = False
    """Whether the log keeps the rows of druid_audit, so that `blame` works without the source.

    These rows may quote whole supervisor specs, and stay in the log and in stores after Druid has
    removed them. Each takes 56 bytes of the watcher's memory while Druid has it.
    """
    retry: RetrySettings = RetrySettings.defaults()
    """When to retry a poll."""


class QueryRetrySettings(RetrySettings):
    """When to retry a query of a Broker."""

    attempts_max: Annotated[int, Field(ge=1, le=1000)] = 3
    """Number of attempts before a failure counts as lasting; few, as slow queries fail late."""


class QueriesSettings(Section):
    """How `verify --level query` compares the answers of two Brokers."""

    in_flight_max: Annotated[int, Field(ge=1, le=256)] = 4
    """Number of intervals compared at once, by one query on each Broker."""
    query_timeout_s: Positive = 120.0
    """Time after which Druid ends a query, in seconds; an interval usually takes a few seconds."""
    columns_per_query_max: Annotated[int, Field(ge=1, le=1000)] = 100
    """Number of columns that one query aggregates; wider datasources take several queries."""
    interval_min_s: Positive = 86_400.0
    """Shortest interval of a query, in seconds; shorter intervals are compared together."""
    repeats_max: Annotated[int, Field(ge=1, le=100)] = 4
    """Number of times that a query is repeated before a difference is reported."""
    repeat_wait_s: Positive = 30.0
    """Time between these repetitions, in seconds; longer than a standby's lag and load time."""
    suspects_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Number of differing intervals after which the search ends."""
    retry: QueryRetrySettings = QueryRetrySettings.defaults()
    """When to retry a query that failed transiently."""


class Settings(Section):
    """All settings."""

    source: SourceSettings | None = None
    """The watched cluster; without it only targets' own stores can be read and restored."""
    log: LogSettings | None = None
    """The event log; required with `source`."""
    watch: WatchSettings = WatchSettings.defaults()
    """How the source is polled."""
    transfer: TransferSettings = TransferSettings.defaults()
    """How bytes are copied."""
    log_workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Number of processes that read the whole log for a restore, a proof or a watcher's start.

    They exist only while they read, and only for more than ten thousand events or so. Each takes
    about 60 MB; with 1, this process reads alone.
    """
    queries: QueriesSettings = QueriesSettings.defaults()
    """Comparison of two Brokers' answers."""
    prices: PricesSettings | None = None
    """Prices of requests and bytes; default: none, and `restore plan` shows no price."""
    targets: Targets = {}
    """The targets, by their names."""
    drill: DrillSettings = DrillSettings.defaults()
    """Place and limits of drills."""
    canary: CanarySettings | None = None
    """A tiny datasource whose rows measure the lag that users see; default: none."""
    schedules: SchedulesSettings = {}
    """Verbs that `run` and `serve` start at set times, by names of your choice; default: none."""
    notifications: NotificationsSettings | None = None
    """Receivers of notifications about broken and mended promises; default: none."""
    web: WebSettings | None = None
    """Metrics, health and status over HTTP; default: none, no port is opened."""
    look_timeout_s: Positive = 60.0
    """Longest wait for each target, for the source and for the log when they are looked at.

    In seconds; for `status`, metrics, notifications, the page and the canary's notes. What does not
    answer within it is reported as such, and the others are shown.
    """
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """How long unfinished work may continue after the first signal to stop, in seconds.

    The default is Kubernetes' grace period. A call that does not return, like a read from a mount
    that is gone, ends with the process 10 seconds later.
    """

    @property
    def watched(self) -> SourceSettings:
        """The source.

        Raises:
            ConfigError: none is configured.
        """
        if self.source is None:
            raise ConfigError("the configuration has no `source`", hint=_STORE_HINT)
        return self.source

    @property
    def recorded(self) -> LogSettings:
        """The event log.

        Raises:
            ConfigError: none is configured.
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
