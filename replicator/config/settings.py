"""What can be set: each field with its unit, its bounds and the reason for its default.

Nothing here reads a file or a variable; `loading.py` does. Secrets are never part of the settings,
only the name of the variable or of the file that holds one.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from pydantic import BeforeValidator, Field, model_validator

from replicator.config.druid import DruidSettings, SourceDruidSettings
from replicator.config.logs import KafkaLogSettings, LogSettings
from replicator.config.storages import (
    DeepStorageSettings,
    S3StorageSettings,
    TransferSettings,
    overlap,
)
from replicator.config.values import (
    Duration,
    Names,
    Part,
    Password,
    Positive,
    PostgresqlUrl,
    Size,
    SourceName,
    TargetName,
    Tiers,
    nothing_is_empty,
)
from replicator.config.web import WebSettings
from replicator.model.retry import RetryPolicy

_POSTGRESQL_PORT = 5432


class PostgresqlSettings(Password):
    """A Druid metadata store in PostgreSQL; without a password it uses trust, peer or .pgpass."""

    type: Literal["postgresql"]
    """The kind of database."""
    url: PostgresqlUrl
    """`postgresql://user@host:5432/database`, without a password."""
    table_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")] = "druid_"
    """What Druid's tables start with: `druid.metadata.storage.tables.base` and an underscore."""
    schema_: Annotated[str, Field(alias="schema", min_length=1)] = "public"
    """The schema with Druid's tables; Druid itself uses the first of the user's search path."""
    connect_timeout_s: Positive = 10.0
    """Longest wait for a connection, in seconds; a healthy server answers within one."""
    statement_timeout_s: Positive = 600.0
    """Longest run of one statement, in seconds; 12 million rows take minutes on a slow replica."""

    @property
    def place(self) -> tuple[str, int, str, str, str]:
        """What makes two of these the same tables, whoever logs in."""
        parts = urlsplit(self.url)
        host = parts.hostname or "".join(parse_qs(parts.query).get("host", ["localhost"]))
        port = parts.port or _POSTGRESQL_PORT
        return host, port, parts.path.strip("/"), self.schema_, self.table_prefix


MetadataSettings: TypeAlias = PostgresqlSettings
"""It becomes a union told apart by `type` as soon as there is a second one."""


OtherStorages = Annotated[
    Mapping[TargetName, DeepStorageSettings], BeforeValidator(nothing_is_empty)
]


class SourceSettings(Part):
    """The cluster that is watched. Privileges that can only read are enough."""

    name: SourceName
    """Names the cluster in every event; never change it."""
    metadata: MetadataSettings
    """Where its metadata store is; a replica that lags by seconds will do."""
    deep_storage: DeepStorageSettings
    """Where its segments' bytes are."""
    other_deep_storages: OtherStorages = {}
    """Storages that its older or archived segments are in, by names of your choice."""
    druid: SourceDruidSettings | None = None
    """Its own Druid; needed to compare what it answers with what a target answers."""
    kill_buffer: Duration | None = timedelta(days=30)
    """How long its kill tasks spare an unused segment; None: nothing kills there.

    `druid.coordinator.kill.bufferPeriod`, and where the Overlord kills
    `druid.manager.segments.killUnused.bufferPeriod`: the smaller of the two. 30 days is what Druid
    takes for both when kill is on and no period is said.
    """


class RetrySettings(Part):
    """When to try again after a failure that may pass."""

    attempts_max: Annotated[int, Field(ge=1, le=1000)] = 8
    """Attempts before the failure counts as lasting; 8 ride out about a minute."""
    delay_initial_s: Positive = 0.2
    """Longest wait before the second attempt, in seconds; it doubles with each further one."""
    delay_max_s: Positive = 30.0
    """Longest wait between two attempts, in seconds; a server's restart takes about as long."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.delay_initial_s > self.delay_max_s:
            raise ValueError("delay_initial_s is larger than delay_max_s")
        return self

    @property
    def policy(self) -> RetryPolicy:
        """The policy that these settings describe."""
        return RetryPolicy(
            attempts_max=self.attempts_max,
            delay_initial_s=self.delay_initial_s,
            delay_max_s=self.delay_max_s,
        )


class WatchSettings(Part):
    """How the source is polled."""

    poll_interval_s: Positive = 10.0
    """Time between polls, in seconds, and so the floor of the lag. A poll scans all rows."""
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
    retry: RetrySettings = RetrySettings()
    """When to try a poll again."""


class QueryRetrySettings(RetrySettings):
    """When to ask a Broker again."""

    attempts_max: Annotated[int, Field(ge=1, le=1000)] = 3
    """Attempts before the failure counts as lasting; one of a query that is too slow is long."""


class QueriesSettings(Part):
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
    """How often a difference is looked at again before it is said."""
    repeat_wait_s: Positive = 30.0
    """Time between two such looks, in seconds; lag and load time of a standby are shorter."""
    suspects_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Differing intervals after which no further ones are looked for."""
    retry: QueryRetrySettings = QueryRetrySettings()
    """When to ask again after a query that failed in a way that may pass."""


class LoadRulesSettings(Part):
    """How the source's load rules become the target's."""

    with_drops: bool = False
    """Whether rules that drop segments are carried too.

    A standby needs none: what they drop is marked in its row, and that is carried. Here they would
    drop it again after a restore to before the drop.
    """
    tiers: Tiers = {}
    """The target's name for a tier of the source, like {hot: _default_tier}; others keep theirs."""


class HistorySettings(Part):
    """The history that a target keeps beside its bytes, in `_replicator/` of its deep storage."""

    file_bytes_max: Annotated[Size, Field(ge=1 << 16, le=1 << 28)] = 8 << 20
    """Largest file before it is compressed, about a tenth after; it is in memory while read."""
    base_interval: Duration = timedelta(days=1)
    """Time between two whole inventories. A restore reads one, and the history since."""


class TargetSettings(Part):
    """A cluster that is kept equal to the source."""

    metadata: MetadataSettings
    """Where its own metadata store is."""
    deep_storage: DeepStorageSettings
    """Where its own segments' bytes are, never inside the source's."""
    druid: DruidSettings | None = None
    """Its own Druid; needed to promote it, to check its settings and what it answers."""
    config_names: Names = frozenset({"lookupsConfig"})
    """Entries of `druid_config` that are carried.

    Only lookups by default: compaction would write new versions here, and the Coordinator's
    dynamic configuration names hosts of the source.
    """
    load_rules: LoadRulesSettings = LoadRulesSettings()
    """How the source's load rules become the target's."""
    copies_in_flight_max: Annotated[int, Field(ge=1, le=1024)] = 8
    """Segments copied at once; about where one disk or one network link is busy."""
    objects_missing_max: Annotated[int, Field(ge=0)] = 1000
    """More missing segments than this in one cut are a wrong mount and not kills: stop."""
    kill_wait_s: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    """How long to wait for the log to say that missing bytes were killed, in seconds.

    The next cut says so; the default leaves room for three polls.
    """
    apply_interval_s: Positive = 1.0
    """Time between looks into the log, in seconds; a look at a quiet log costs next to nothing."""
    rows_per_batch_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Rows written in one statement; a cut is one transaction, however many it takes."""
    history: HistorySettings = HistorySettings()
    """How its own history is kept."""
    retry: RetrySettings = RetrySettings()
    """When to try a copy or a transaction again."""
    retention: Duration | None = None
    """How long any point in time can be restored; default: for ever, nothing expires."""
    rpo: Duration = timedelta(seconds=60)
    """The promise that `replicator status` checks: how far the target may lag behind.

    The default is six polls: a lost poll or two breaks no promise.
    """
    kill_margin_min: Duration = timedelta(days=1)
    """The promise that the source's kill is at least so far from bytes not copied yet.

    The default is what a person needs who has to hear of it, find the cause, and let it catch up.
    """
    log_margin_min: Duration = timedelta(days=1)
    """The promise that the log keeps what this target still needs for at least so long."""


Targets = Annotated[Mapping[TargetName, TargetSettings], BeforeValidator(nothing_is_empty)]


class Settings(Part):
    """Everything that can be set."""

    source: SourceSettings
    """The cluster that is watched."""
    log: LogSettings
    """Where the history is kept."""
    watch: WatchSettings = WatchSettings()
    """How the source is polled."""
    transfer: TransferSettings = TransferSettings()
    """How bytes are moved."""
    log_workers: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes that read the log when all of it is needed: a restore, a proof, a watcher's start.

    They live only as long as that takes, and only for more than some ten thousand events. Each
    holds about 60 MB; 1 is this process alone.
    """
    queries: QueriesSettings = QueriesSettings()
    """How the answers of two Brokers are compared."""
    targets: Targets = {}
    """The clusters that are kept equal to the source, by their names."""
    web: WebSettings | None = None
    """Metrics, health and status over HTTP; default: none, no port is opened."""
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """How long work in hand may go on after the first signal to stop, in seconds.

    The default is the grace period that Kubernetes gives.
    """

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in _collisions(self.source, self.targets):
            raise ValueError(problem)
        quiet_s = self.watch.idle_cut_interval_s + self.watch.poll_interval_s
        for problem in _locks(self.source, self.targets):
            raise ValueError(problem)
        for name, target in self.targets.items():
            if target.rpo.total_seconds() < quiet_s:
                raise ValueError(
                    f"targets.{name}.rpo is shorter than watch.idle_cut_interval_s and"
                    f" poll_interval_s together ({quiet_s:g} s): a source without changes would"
                    " break the promise"
                )
            for problem in _unkept(name, target, self.source, self.log):
                raise ValueError(problem)
        return self


def _unkept(
    name: str, target: TargetSettings, source: SourceSettings, log: LogSettings
) -> Iterable[str]:
    """Say which promises would be broken by everything that is not copied at once."""
    if source.kill_buffer is not None and source.kill_buffer <= target.kill_margin_min:
        yield (
            f"targets.{name}.kill_margin_min is not shorter than source.kill_buffer: the first"
            " segment that waits would break the promise"
        )
    kept_for = log.retention if isinstance(log, KafkaLogSettings) else None
    if kept_for is not None and kept_for <= target.log_margin_min:
        yield (
            f"targets.{name}.log_margin_min is not shorter than log.retention: the first event"
            " that waits would break the promise"
        )


def _collisions(source: SourceSettings, targets: Mapping[str, TargetSettings]) -> Iterable[str]:
    """Say which clusters would write into each other."""
    parts: list[tuple[str, SourceSettings | TargetSettings]] = [("source", source)]
    for name, target in targets.items():
        where = f"targets.{name}"
        for other, part in parts:
            if target.metadata.place == part.metadata.place:
                yield f"{where}.metadata and {other}.metadata are the same tables"
            for key, storage in _storages(part):
                if overlap(target.deep_storage.place, storage.place):
                    yield (
                        f"{where}.deep_storage and {other}.{key} overlap: two clusters must not"
                        " write into one place"
                    )
        parts.append((where, target))


def _locks(source: SourceSettings, targets: Mapping[str, TargetSettings]) -> Iterable[str]:
    """Say which locks would lock nothing, or for no known time."""
    for key, storage in _storages(source):
        if isinstance(storage, S3StorageSettings) and storage.object_lock is not None:
            yield f"source.{key}.object_lock: nothing is ever stored at the source"
    for name, target in targets.items():
        storage = target.deep_storage
        locks = isinstance(storage, S3StorageSettings) and storage.object_lock is not None
        if locks and target.retention is None:
            yield (
                f"targets.{name}.deep_storage.object_lock locks for as long as"
                f" targets.{name}.retention says: set that, too"
            )


def _storages(
    part: SourceSettings | TargetSettings,
) -> Iterable[tuple[str, DeepStorageSettings]]:
    yield "deep_storage", part.deep_storage
    if isinstance(part, SourceSettings):
        for name, storage in part.other_deep_storages.items():
            yield f"other_deep_storages.{name}", storage
