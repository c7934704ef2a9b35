"""Settings of the source and of each target."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from pydantic import BeforeValidator, Field, model_validator

from replicator.config.clusters.drills import TargetDrillSettings
from replicator.config.clusters.druid import DruidSettings, SourceDruidSettings
from replicator.config.clusters.signing import SigningSettings
from replicator.config.clusters.storages import DeepStorageSettings, require_plain_prefix
from replicator.config.retries import RetrySettings
from replicator.config.values import (
    Delay,
    DruidRelease,
    Duration,
    MysqlUrl,
    Names,
    Password,
    Positive,
    PostgresqlUrl,
    Section,
    Size,
    SourceName,
    TargetName,
    Tiers,
    nothing_is_empty,
    postgresql_hosts,
)


class PostgresqlSettings(Password):
    """A Druid metadata store in PostgreSQL; without a password it uses trust, peer or .pgpass."""

    type: Literal["postgresql"]
    """The kind of database."""
    url: PostgresqlUrl
    """`postgresql://user@host:5432/database`, without a password; several hosts are tried in turn.

    `postgresql://user@db1,db2/druid?target_session_attrs=read-write`: see docs/postgresql.md.
    """
    table_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")] = "druid_"
    """Prefix of Druid's tables: `druid.metadata.storage.tables.base` and an underscore."""
    schema_: Annotated[str, Field(alias="schema", min_length=1)] = "public"
    """Schema of Druid's tables; Druid itself uses the first schema of its user's search path."""
    connect_timeout_s: Positive = 10.0
    """Longest wait for a connection, in seconds; a healthy server answers within one."""
    statement_timeout_s: Positive = 600.0
    """Longest run of one statement, in seconds; 12 million rows take minutes on a slow replica."""
    lock_timeout_s: Positive = 10.0
    """Longest wait for a lock that another session holds on a table or a row, in seconds."""

    def overlaps(self, other: "MetadataSettings") -> bool:
        """Return whether both are the same tables, with any login and through any host."""
        if not isinstance(other, PostgresqlSettings):
            return False
        hosts = postgresql_hosts(self.url), postgresql_hosts(other.url)
        return self._tables == other._tables and not set(hosts[0]).isdisjoint(hosts[1])

    @property
    def _tables(self) -> tuple[str, str, str]:
        parts = urlsplit(self.url)
        database = "".join(parse_qs(parts.query).get("dbname", [parts.path.strip("/")]))
        return database, self.schema_, self.table_prefix.lower()


class ChangeStreamSettings(Section):
    """The source's own record of each commit: a logical replication slot, read by SQL."""

    slot: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,63}$")] = "druid_replicator"
    """Name of the replication slot; `replicator stream create` makes it."""
    publication: Annotated[str, Field(min_length=1, max_length=63)] = "druid_replicator"
    """Name of the publication of Druid's tables; `replicator check` prints the SQL for it."""
    read_interval_s: Annotated[float, Field(ge=0.01, le=60)] = 0.05
    """Time between two reads, in seconds; a read of an idle source is one statement of 0.1 ms."""
    retained_bytes_max: Annotated[Size, Field(ge=16 << 20)] = 4 << 30
    """Size of the WAL that the source may keep for the slot; beyond it the watcher drops the slot.

    The watcher then polls. The source's disk needs this much free space.
    """


class SourcePostgresqlSettings(PostgresqlSettings):
    """The source's metadata store in PostgreSQL."""

    change_stream: ChangeStreamSettings | None = None
    """Makes each commit of the source a cut; default: off, and polls find the changes."""


class MysqlSettings(Password):
    """A Druid metadata store in MySQL or MariaDB; without a password the login sends none."""

    type: Literal["mysql"]
    """The kind of database."""
    url: MysqlUrl
    """`mysql://user@host:3306/database`, without a password, for MariaDB too.

    `?ssl-mode=VERIFY_IDENTITY&ssl-ca=/path/ca.pem` encrypts: see docs/mysql.md.
    """
    table_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")] = "druid_"
    """Prefix of Druid's tables: `druid.metadata.storage.tables.base` and an underscore."""
    connect_timeout_s: Positive = 10.0
    """Longest wait for a connection, in seconds; a healthy server answers within one."""
    statement_timeout_s: Positive = 600.0
    """Longest run of one statement, in seconds; 12 million rows take minutes on a slow replica."""
    lock_timeout_s: Positive = 10.0
    """Longest wait for a lock that another session holds on a table or a row, in seconds."""

    def overlaps(self, other: "MetadataSettings") -> bool:
        """Return whether both are the same tables, with any login."""
        return isinstance(other, MysqlSettings) and self._tables == other._tables

    @property
    def _tables(self) -> tuple[str, int, str, str, str]:
        parts = urlsplit(self.url)
        socket = "".join(parse_qs(parts.query).get("socket", []))
        host = (parts.hostname or "localhost").lower()
        return host, parts.port or MYSQL_PORT, socket, parts.path.strip("/"), self.table_prefix


MYSQL_PORT = 3306
MetadataSettings: TypeAlias = PostgresqlSettings | MysqlSettings
SomeMetadata = Annotated[MetadataSettings, Field(discriminator="type")]
SourceMetadata = Annotated[SourcePostgresqlSettings | MysqlSettings, Field(discriminator="type")]


OtherStorages = Annotated[
    Mapping[TargetName, DeepStorageSettings], BeforeValidator(nothing_is_empty)
]


class SourceSettings(Section):
    """The cluster that the watcher reads; read-only privileges are enough."""

    name: SourceName
    """Name of the cluster in every event; never change it."""
    metadata: SourceMetadata
    """Its metadata store, or a replica of it (docs/postgresql.md, docs/mysql.md)."""
    deep_storage: DeepStorageSettings
    """Storage of the source's segments."""
    other_deep_storages: OtherStorages = {}
    """Further storages of older or archived segments, by names of your choice."""
    druid: SourceDruidSettings | None = None
    """The source's Druid, whose answers `verify --level query` compares with a target's."""
    kill_buffer: Duration | None = timedelta(days=30)
    """How long the source's kill tasks spare an unused segment; null: no kill tasks run.

    `druid.coordinator.kill.bufferPeriod`, and where the Overlord kills
    `druid.manager.segments.killUnused.bufferPeriod`: the smaller of the two. Druid's default for
    both is 30 days.
    """


class LoadRulesSettings(Section):
    """How the source's load rules are mapped to the target's."""

    with_drops: bool = False
    """Whether drop rules are replicated too.

    A standby needs none: the source marks dropped segments as unused, and that is replicated.
    After a restore to a cut before the drop, the target's own drop rules would drop them again.
    """
    tiers: Tiers = {}
    """Target's tier for a tier of the source, like {hot: _default_tier}; others keep their name."""


class PromotionSettings(Section):
    """Parts of the source's configuration that a target takes over when it becomes a primary.

    A standby has none of them: compaction would write new versions there.
    """

    compaction: bool = True
    """The compaction configuration of all datasources; without it compaction stops."""
    coordinator: bool = True
    """The Coordinator's dynamic configuration, except entries that name hosts, pause or kill."""
    workers: bool = True
    """How workers are selected for tasks, unless hosts are named; auto-scaling is left out."""
    brokers: bool = True
    """The Brokers' dynamic configuration, like blocked queries (Druid 37)."""
    security: bool = False
    """Users, roles and group mappings of basic security, added to the target's own."""
    keep_users: Names = frozenset({"druid_system", "admin"})
    """Users, and roles of the same names, that remain the target's: its servers log in as one."""


class HistorySettings(Section):
    """The history in a target's store, `_replicator/` of its deep storage."""

    file_bytes_max: Annotated[Size, Field(ge=1 << 16, le=1 << 28)] = 8 << 20
    """Largest history file before compression to about a tenth; readers hold it in memory."""
    base_interval: Duration = timedelta(days=1)
    """Time between two bases; a restore reads one base and the history since."""
    merge_files: Annotated[int, Field(ge=0, le=10_000)] = 256
    """Number of small files that are merged after a few minutes, to a third of the size; 0: never.

    With `object_lock` files are never merged, because they could not be deleted.
    """
    cache_bytes_max: Annotated[Size, Field(ge=0, le=1 << 34)] = 32 << 20
    """Memory of a command for history files that it may need again."""


class ExpirySettings(Section):
    """Leases and margins of `expire`, and of restores that run beside it."""

    lease: Duration = timedelta(minutes=30)
    """Length of an expiry's lease; an applier waits this long for an expiry that has died."""
    margin: Duration = timedelta(minutes=10)
    """Last part of the lease, in which nothing is deleted; longer than any single request."""
    clock_skew_max: Duration = timedelta(minutes=1)
    """Largest difference between the clocks of the machines that work on one target."""
    orphan_age_min: Duration = timedelta(days=1)
    """Age at which unreferenced objects count as orphans; younger ones may still be copied."""
    restore_lease: Duration = timedelta(minutes=10)
    """How long a restore that has died protects the objects it was reading from expiry."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.lease < 2 * self.margin:
            raise ValueError("lease is shorter than twice the margin")
        return self


class TargetSettings(Section):
    """A cluster or an archive that the replicator keeps equal to the source."""

    metadata: SomeMetadata | None = None
    """Its metadata store; without one the target is an archive, of bytes and history only."""
    deep_storage: DeepStorageSettings
    """Storage of the target's own segments, never inside the source's."""
    druid: DruidSettings | None = None
    """The target's Druid, for `promote`, for checks of its settings, and for its answers."""
    druid_release: DruidRelease | None = None
    """Release of the target's Druid, like 33.0.0; default: the one that its Coordinator reports.

    Newer features of the source are translated if the answers stay the same; otherwise they become
    a gap (docs/compatibility.md). The Coordinator is asked at each start, and its answer is kept in
    `_replicator/`.
    """
    config_names: Names = frozenset({"lookupsConfig"})
    """Replicated entries of `druid_config`, by name or by pattern, like `basic_*`.

    By default only lookups: compaction would write new versions on the target, and the
    Coordinator's dynamic configuration names hosts of the source.
    """
    load_rules: LoadRulesSettings = LoadRulesSettings.defaults()
    """How the source's load rules are mapped to the target's."""
    promotion: PromotionSettings = PromotionSettings.defaults()
    """Parts of the source's configuration that `promote` and `failover` take over."""
    copies_in_flight_max: Annotated[int, Field(ge=1, le=1024)] = 8
    """Number of segments copied at once; about 8 keep one disk or one network link busy."""
    looks_in_flight_max: Annotated[int, Field(ge=1, le=1024)] = 32
    """Number of segments that `restore plan` looks up at once, by one or two requests each."""
    objects_missing_max: Annotated[int, Field(ge=0)] = 1000
    """Number of missing segments in one cut that the applier accepts.

    With more of them it suspects a wrong mount, and stops.
    """
    rows_unfit_max: Annotated[int, Field(ge=0)] = 100
    """Number of rows in one cut that the target's database may be unable to hold; they become gaps.

    With more of them the applier suspects wrong tables, and halts before any row is written.
    """
    rows_lost_max: Annotated[int, Field(ge=0)] = 0
    """Number of rows that `--adopt` may remove from the target although the source has them.

    The source has no bytes for such rows any more. A row whose location is refused is never
    removed.
    """
    kill_wait_s: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    """How long the applier waits for a cut that explains missing bytes as killed, in seconds.

    The default leaves room for three polls. The wait is measured by the wall clock, from the first
    attempt of any process, so that short-lived appliers get past it as well.
    """
    gap_retry_interval: Duration = timedelta(hours=1)
    """Time between two attempts to copy the bytes of open gaps; each start is an attempt, too.

    An attempt costs one or two requests for each gap.
    """
    apply_interval_s: Positive = 1.0
    """Time between two reads of the log, in seconds; reading a quiet log costs almost nothing."""
    halted_retry_s: Positive = 60.0
    """How long a service waits, in seconds, after an error of this target has halted it.

    It then checks whether the error is mended; such a check may compare the whole target.
    """
    rows_per_batch_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Number of rows in one statement; a cut is one transaction of as many as it needs."""
    history: HistorySettings = HistorySettings.defaults()
    """How the target keeps its own history."""
    signing: SigningSettings | None = None
    """Keys that sign the files of the target's store; default: none (docs/archive.md)."""
    drill: TargetDrillSettings = TargetDrillSettings.defaults()
    """How often a drill proves that the store alone is enough; see `replicator drill`."""
    retry: RetrySettings = RetrySettings.defaults()
    """When to retry a copy or a transaction."""
    retention: Duration | None = None
    """Length of the window in which any point can be restored; default: all, nothing expires."""
    expiry: ExpirySettings = ExpirySettings.defaults()
    """How history and bytes expire."""
    delay: Delay = timedelta(0)
    """Intended distance of the target's rows behind the source; default: none.

    A mistake at the source reaches these rows only after the delay. Bytes are copied at once.
    """
    rpo: Duration = timedelta(seconds=60)
    """The promise of how far the target may lag behind the source, not counting `delay`.

    The default is six polls, so that one or two failed polls break no promise.
    """
    kill_margin_min: Duration = timedelta(days=1)
    """The promised minimum of time until the source may kill bytes that are not copied yet.

    The default gives an operator time to notice, to find the cause, and to let the target catch up.
    """
    log_margin_min: Duration = timedelta(days=1)
    """The promised minimum of time for which the log keeps what the target still needs."""

    @model_validator(mode="after")
    def _writable(self) -> Self:
        require_plain_prefix(self.deep_storage)
        return self


Targets = Annotated[Mapping[TargetName, TargetSettings], BeforeValidator(nothing_is_empty)]
