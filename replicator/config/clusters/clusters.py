"""What can be set about the source, and about each target."""

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
    """What Druid's tables start with: `druid.metadata.storage.tables.base` and an underscore."""
    schema_: Annotated[str, Field(alias="schema", min_length=1)] = "public"
    """The schema with Druid's tables; Druid itself uses the first of the user's search path."""
    connect_timeout_s: Positive = 10.0
    """Longest wait for a connection, in seconds; a healthy server answers within one."""
    statement_timeout_s: Positive = 600.0
    """Longest run of one statement, in seconds; 12 million rows take minutes on a slow replica."""
    lock_timeout_s: Positive = 10.0
    """Longest wait for a lock that somebody else holds on a table or a row, in seconds."""

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
    """The source's own account of each commit: a logical replication slot, read by SQL."""

    slot: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,63}$")] = "druid_replicator"
    """Name of the replication slot; `replicator stream create` makes it."""
    publication: Annotated[str, Field(min_length=1, max_length=63)] = "druid_replicator"
    """Name of the publication of Druid's tables; `replicator check` prints the SQL for it."""
    read_interval_s: Annotated[float, Field(ge=0.01, le=60)] = 0.05
    """Time between two reads, in seconds; a read of an idle source is one statement of 0.1 ms."""
    retained_bytes_max: Annotated[Size, Field(ge=16 << 20)] = 4 << 30
    """WAL that the source may keep for the slot; beyond that the watcher drops it, and polls.

    The source's disk needs as much room beside everything else.
    """


class SourcePostgresqlSettings(PostgresqlSettings):
    """The source's metadata store in PostgreSQL."""

    change_stream: ChangeStreamSettings | None = None
    """Each commit of the source as a cut of its own; default: off, and polls find what changed."""


class MysqlSettings(Password):
    """A Druid metadata store in MySQL or MariaDB; without a password it logs in with none."""

    type: Literal["mysql"]
    """The kind of database."""
    url: MysqlUrl
    """`mysql://user@host:3306/database`, without a password, for MariaDB too.

    `?ssl-mode=VERIFY_IDENTITY&ssl-ca=/path/ca.pem` encrypts: see docs/mysql.md.
    """
    table_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]*$")] = "druid_"
    """What Druid's tables start with: `druid.metadata.storage.tables.base` and an underscore."""
    connect_timeout_s: Positive = 10.0
    """Longest wait for a connection, in seconds; a healthy server answers within one."""
    statement_timeout_s: Positive = 600.0
    """Longest run of one statement, in seconds; 12 million rows take minutes on a slow replica."""
    lock_timeout_s: Positive = 10.0
    """Longest wait for a lock that somebody else holds on a table or a row, in seconds."""

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
    """The cluster that is watched. Read-only privileges are enough."""

    name: SourceName
    """Names the cluster in every event; never change it."""
    metadata: SourceMetadata
    """Address of its metadata store; a replica will do (docs/postgresql.md, docs/mysql.md)."""
    deep_storage: DeepStorageSettings
    """Storage of its segments' bytes."""
    other_deep_storages: OtherStorages = {}
    """Further storages that hold older or archived segments, by names of your choice."""
    druid: SourceDruidSettings | None = None
    """Its own Druid; needed to compare its answers with a target's."""
    kill_buffer: Duration | None = timedelta(days=30)
    """How long its kill tasks spare an unused segment; None: nothing kills there.

    `druid.coordinator.kill.bufferPeriod`, and where the Overlord kills
    `druid.manager.segments.killUnused.bufferPeriod`: the smaller of the two. Druid's default for
    both is 30 days.
    """


class LoadRulesSettings(Section):
    """How the source's load rules become the target's."""

    with_drops: bool = False
    """Whether drop rules are replicated too.

    A standby needs none: the source marks what they drop as unused, and that is replicated.
    On the target they would drop it again after a restore to before the drop.
    """
    tiers: Tiers = {}
    """The target's name for a tier of the source, like {hot: _default_tier}; others keep theirs."""


class PromotionSettings(Section):
    """What a target takes over of the source's configuration when it becomes a primary.

    Until then it has none of it: compaction would write new versions on a standby.
    """

    compaction: bool = True
    """The compaction configuration of all datasources: without it nothing is compacted any more."""
    coordinator: bool = True
    """The Coordinator's dynamic configuration, except what names hosts, pauses or kills."""
    workers: bool = True
    """Selection of workers for tasks, unless it names hosts; without auto-scaling."""
    brokers: bool = True
    """The Brokers' dynamic configuration, like blocked queries (Druid 37)."""
    security: bool = False
    """Users, roles and group mappings of basic security, beside those that the target has."""
    keep_users: Names = frozenset({"druid_system", "admin"})
    """Users, and roles of the same names, that stay the target's own: its servers log in by one."""


class HistorySettings(Section):
    """The history that a target keeps beside its bytes, in `_replicator/` of its deep storage."""

    file_bytes_max: Annotated[Size, Field(ge=1 << 16, le=1 << 28)] = 8 << 20
    """Largest file before it is compressed, about a tenth after; it is in memory while read."""
    base_interval: Duration = timedelta(days=1)
    """Time between two whole inventories. A restore reads one, and the history since."""
    merge_files: Annotated[int, Field(ge=0, le=10_000)] = 256
    """Small files that become one a few minutes later, a third as large; 0: they stay as they are.

    With `object_lock` they stay as well: nobody could delete them.
    """
    cache_bytes_max: Annotated[Size, Field(ge=0, le=1 << 34)] = 32 << 20
    """Memory for files that a command has read, so that it does not read them again."""


class ExpirySettings(Section):
    """How `expire` works, and what gives way to it."""

    lease: Duration = timedelta(minutes=30)
    """How long an expiry may delete unannounced: an applier waits as long for a dead one."""
    margin: Duration = timedelta(minutes=10)
    """The end of that time, in which it no longer deletes; longer than any one request takes."""
    clock_skew_max: Duration = timedelta(minutes=1)
    """Largest difference between the clocks of the machines that work on one target."""
    orphan_age_min: Duration = timedelta(days=1)
    """Age from which bytes that no event refers to are orphans; younger ones may be in transit."""
    restore_lease: Duration = timedelta(minutes=10)
    """How long a restore that died still keeps what it was reading from expiry."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.lease < 2 * self.margin:
            raise ValueError("lease is shorter than twice the margin")
        return self


class TargetSettings(Section):
    """A cluster, or an archive, that is kept equal to the source."""

    metadata: SomeMetadata | None = None
    """Address of its metadata store; without one it is an archive: bytes and history alone."""
    deep_storage: DeepStorageSettings
    """Storage of its own segments' bytes, never inside the source's."""
    druid: DruidSettings | None = None
    """Its own Druid; needed to promote it, and to check its settings and answers."""
    druid_release: DruidRelease | None = None
    """Which release its Druid runs, like 33.0.0; default: what its Coordinator says.

    What is newer than that is translated where the answers stay the same, and a gap where not
    (docs/compatibility.md). It is asked at each start, and the answer is kept in `_replicator/`.
    """
    config_names: Names = frozenset({"lookupsConfig"})
    """Entries of `druid_config` that are carried, by name or by pattern, like `basic_*`.

    Only lookups by default: compaction would write new versions here, and the Coordinator's
    dynamic configuration names hosts of the source.
    """
    load_rules: LoadRulesSettings = LoadRulesSettings.defaults()
    """How the source's load rules become the target's."""
    promotion: PromotionSettings = PromotionSettings.defaults()
    """Parts of the source's configuration that `promote` and `failover` take over."""
    copies_in_flight_max: Annotated[int, Field(ge=1, le=1024)] = 8
    """Segments copied at once; about where one disk or one network link is busy."""
    looks_in_flight_max: Annotated[int, Field(ge=1, le=1024)] = 32
    """Segments that `restore plan` looks for at once; each look is a request or two."""
    objects_missing_max: Annotated[int, Field(ge=0)] = 1000
    """Missing segments in one cut above which the applier suspects a wrong mount, and stops."""
    rows_unfit_max: Annotated[int, Field(ge=0)] = 100
    """Rows in one cut that its database may be unable to hold, and that become gaps.

    If there are more, its tables are taken to be wrong, and it halts before any row is written.
    """
    rows_lost_max: Annotated[int, Field(ge=0)] = 0
    """Rows that `--adopt` may remove from it although the source has them; more are refused.

    Their bytes cannot be had from the source. A row whose place is refused is never removed.
    """
    kill_wait_s: Annotated[float, Field(ge=0, le=86_400)] = 30.0
    """How long to wait for the log to say that missing bytes were killed, in seconds.

    The next cut says so; the default leaves room for three polls. It counts by the wall clock from
    the first look of any process, so that a target which short processes feed gets past it.
    """
    gap_retry_interval: Duration = timedelta(hours=1)
    """Time between two tries to copy the bytes of open gaps; each start is a try, too.

    A try is a request or two for each gap, so an hour costs little however many there are.
    """
    apply_interval_s: Positive = 1.0
    """Time between looks into the log, in seconds; a look at a quiet log costs next to nothing."""
    halted_retry_s: Positive = 60.0
    """How long a service that an error of this target has halted waits, in seconds.

    Then it looks whether that is mended. A minute, as a look may compare the whole target.
    """
    rows_per_batch_max: Annotated[int, Field(ge=1, le=100_000)] = 1000
    """Rows written in one statement; a cut is one transaction, however many it takes."""
    history: HistorySettings = HistorySettings.defaults()
    """How its own history is kept."""
    signing: SigningSettings | None = None
    """Keys that sign the files of its store; default: nothing is signed (docs/archive.md)."""
    drill: TargetDrillSettings = TargetDrillSettings.defaults()
    """How often a drill proves that the store alone is enough; see `replicator drill`."""
    retry: RetrySettings = RetrySettings.defaults()
    """When to try a copy or a transaction again."""
    retention: Duration | None = None
    """Length of the window in which any point can be restored; default: all, nothing expires."""
    expiry: ExpirySettings = ExpirySettings.defaults()
    """How history and bytes expire."""
    delay: Delay = timedelta(0)
    """How far its rows stay behind the source on purpose; default: not at all.

    A mistake at the source has not reached these rows yet. Bytes are copied at once.
    """
    rpo: Duration = timedelta(seconds=60)
    """The promise that `replicator status` checks: how far it may lag behind, `delay` apart.

    The default is six polls: a lost poll or two breaks no promise.
    """
    kill_margin_min: Duration = timedelta(days=1)
    """The promise that the source's kill is at least so far from bytes not copied yet.

    The default is what a person needs who has to hear of it, find the cause, and let it catch up.
    """
    log_margin_min: Duration = timedelta(days=1)
    """The promise that the log keeps what this target still needs for at least so long."""

    @model_validator(mode="after")
    def _writable(self) -> Self:
        require_plain_prefix(self.deep_storage)
        return self


Targets = Annotated[Mapping[TargetName, TargetSettings], BeforeValidator(nothing_is_empty)]
