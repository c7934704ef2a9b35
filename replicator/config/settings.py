"""What can be set: each field with its unit, its bounds and the reason for its default.

Nothing here reads a file or a variable; `loading.py` does. Secrets are never part of the settings,
only the name of the variable or of the file that holds one.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import timedelta
from os.path import normpath
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias
from urllib.parse import parse_qs, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

from replicator.errors import ConfigError
from replicator.model.retry import RetryPolicy

_UNIT_S = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_UNIT_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[A-Za-z]+)", re.ASCII)
_POSTGRESQL_PORT = 5432


def duration(value: object) -> timedelta:
    """Read `30s`, `5m`, `12h`, `30d`, or a number of seconds."""
    if isinstance(value, timedelta):
        return value
    seconds = _quantity(value, _UNIT_S, "a duration is written like 30s, 5m, 12h, 30d")
    try:
        return timedelta(seconds=seconds)
    except (OverflowError, ValueError) as exc:
        raise ValueError("the duration is too long") from exc


def duration_text(value: timedelta) -> str:
    """Write a duration as `duration` reads it, in the largest unit that divides it."""
    seconds = value.total_seconds()
    for unit in ("d", "h", "m"):
        if seconds and seconds % _UNIT_S[unit] == 0:
            return f"{seconds / _UNIT_S[unit]:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def size(value: object) -> int:
    """Read `64MiB`, or a number of bytes."""
    found = _quantity(value, _UNIT_BYTES, "a size is written like 512KiB, 64MiB, 2GiB")
    if found != int(found):
        raise ValueError("a size is a whole number of bytes")
    return int(found)


def size_text(value: int) -> str:
    """Write a size as `size` reads it, in the largest unit that divides it."""
    units = reversed(_UNIT_BYTES.items())
    factor, unit = next((f, u) for u, f in units if f == 1 or (value and value % f == 0))
    return f"{value // factor}{unit}"


def _quantity(value: object, units: Mapping[str, float], usage: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    found = _QUANTITY.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or found["unit"] not in units:
        raise ValueError(usage)
    return float(found["number"]) * units[found["unit"]]


def _absolute(value: object) -> object:
    if not isinstance(value, (str, Path)):
        raise ValueError("a path is expected")  # noqa: TRY004 - pydantic reports ValueErrors
    value = str(value)
    if not value.startswith("/") or "\0" in value:
        raise ValueError("the path is not absolute: it would depend on where the program starts")
    return Path("/" + normpath(value).lstrip("/"))


def _nothing_is_empty(value: object) -> object:
    """Let a key stand alone, with all that was below it commented out."""
    return {} if value is None else value


def _names(value: object) -> object:
    if isinstance(value, (list, tuple, set, frozenset)):
        with suppress(TypeError):
            return frozenset(value)
    raise ValueError("a list of names is expected, like [a, b]")


def _as_tuple(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


def _http(url: str) -> str:
    """Refuse what is no plain address of a server; messages never repeat the URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the URL cannot be read; is its port a number?") from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL contains a login; say username, password_env or password_file")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("the URL is not like http://host:8081")
    return url.rstrip("/")


def _without_password(url: str) -> str:
    """Refuse a URL with a secret in it; messages never repeat the URL."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise ValueError("the URL cannot be read; is its port a number?") from None
    if parts.password is not None or "password" in parse_qs(parts.query, keep_blank_values=True):
        raise ValueError(
            "the URL contains a password; take it out, and name the variable or the file that"
            " holds it: password_env or password_file"
        )
    if parts.scheme not in {"postgresql", "postgres"}:
        raise ValueError("the URL does not start with postgresql://")
    if not parts.path.strip("/"):
        raise ValueError("the URL names no database: postgresql://user@host:5432/database")
    return url


Duration = Annotated[
    timedelta, Field(gt=timedelta(0)), BeforeValidator(duration), PlainSerializer(duration_text)
]
Size = Annotated[int, BeforeValidator(size), PlainSerializer(size_text)]
AbsolutePath = Annotated[Path, BeforeValidator(_absolute), PlainSerializer(str)]
Names = Annotated[
    frozenset[Annotated[str, Field(min_length=1)]], BeforeValidator(_names), PlainSerializer(sorted)
]
BrokerAddress = Annotated[str, Field(pattern=r"^[^\s:/]+:\d{1,5}$|^\[[0-9A-Fa-f:.]+\]:\d{1,5}$")]
AsTuple = BeforeValidator(_as_tuple)
HttpUrl = Annotated[str, AfterValidator(_http)]
PostgresqlUrl = Annotated[str, AfterValidator(_without_password)]
Positive = Annotated[float, Field(gt=0, le=86_400)]
SourceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=63)]
TargetName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*(_[A-Za-z0-9-]+)*$", max_length=63)
]
"""No dot and no two underscores: dotted keys and variables name a target too."""


Tiers = Annotated[
    Mapping[Annotated[str, Field(min_length=1)], Annotated[str, Field(min_length=1)]],
    BeforeValidator(_nothing_is_empty),
]


class _Part(BaseModel):
    model_config = ConfigDict(
        strict=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
        validate_by_alias=True,
        validate_by_name=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _nothing_means_defaults(cls, value: object) -> object:
        return _nothing_is_empty(value)


class _Password(_Part):
    """A password that stands elsewhere."""

    password_env: Annotated[str, Field(min_length=1)] | None = None
    """Name of the environment variable that holds the password."""
    password_file: AbsolutePath | None = None
    """File that holds the password; one newline at its end is not part of it."""

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        if self.password_env is not None and self.password_file is not None:
            raise ValueError("password_env and password_file are both set; keep one of them")
        return self

    def password(self, environ: Mapping[str, str]) -> str | None:
        """Return the password, None when none is named.

        Raises:
            ConfigError: the variable is not set, or the file cannot be read.
        """
        if self.password_env is not None:
            return _secret_of(environ, self.password_env)
        if self.password_file is not None:
            return _secret_in(self.password_file)
        return None


class PostgresqlSettings(_Password):
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


class LocalStorageSettings(_Part):
    """Druid's deep storage in a directory, local or on a shared mount."""

    type: Literal["local"]
    """The kind of deep storage."""
    root: AbsolutePath
    """The storage directory as this program sees it."""
    root_in_load_spec: AbsolutePath | None = None
    """The same directory as Druid sees it (`druid.storage.storageDirectory`); default: `root`."""

    @property
    def druid_root(self) -> Path:
        """The storage directory as it stands in load specs."""
        return self.root_in_load_spec or self.root


class SqliteLogSettings(_Part):
    """The event log in one SQLite file, for one machine."""

    type: Literal["sqlite"]
    """The kind of log."""
    path: AbsolutePath
    """The log's file, on a local disk: SQLite's locks do not hold on NFS."""


class KafkaTlsSettings(_Part):
    """How Kafka's brokers prove who they are, and perhaps how this program does."""

    ca_file: AbsolutePath | None = None
    """Who signed the brokers' certificates; default: the system's authorities."""
    certificate_file: AbsolutePath | None = None
    """Certificate of this program, when the brokers ask for one (PEM)."""
    key_file: AbsolutePath | None = None
    """Key of that certificate; default: it stands in `certificate_file` too."""


class KafkaSaslSettings(_Password):
    """Who this program is to Kafka's brokers."""

    mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = "SCRAM-SHA-512"
    """How the password is shown; PLAIN shows it to the broker, so only with `tls`."""
    username: Annotated[str, Field(min_length=1)]
    """The principal, without `User:`."""


class KafkaLogSettings(_Part):
    """The event log in an Apache Kafka topic of one partition."""

    type: Literal["kafka"]
    """The kind of log."""
    bootstrap_servers: Annotated[tuple[BrokerAddress, ...], Field(min_length=1), AsTuple]
    """Some of the brokers, `host:port`; the others are learned from them."""
    topic_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$", max_length=120)] = "replicator"
    """The topic is `<topic_prefix>.<source.name>.changes`."""
    replication_factor: Annotated[int, Field(ge=1, le=32_767)] = 3
    """Copies of the topic when it is made."""
    min_insync_replicas: Annotated[int, Field(ge=1, le=32_767)] = 2
    """Copies that must have an event before it counts as logged."""
    retention: Duration | None = None
    """How long events are kept; default: for ever. A shorter history restores no older point."""
    record_bytes_max: Size = 8 << 20
    """Largest event; a segment of ten thousand columns has about 1 MiB."""
    request_timeout_s: Positive = 30.0
    """Longest wait for a broker's answer, in seconds; a lost leader is replaced within it."""
    transaction_timeout_s: Positive = 60.0
    """When the brokers give up a transaction whose writer went silent, in seconds."""
    cursors_max: Annotated[int, Field(ge=1, le=64)] = 4
    """Places from which the topic is read at once; more targets in one process want more."""
    fetch_bytes_max: Size = 8 << 20
    """Bytes fetched ahead at each of those places."""
    tls: KafkaTlsSettings | None = None
    """Encrypt; without it everything is sent in the open."""
    sasl: KafkaSaslSettings | None = None
    """Log in."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.min_insync_replicas > self.replication_factor:
            raise ValueError("min_insync_replicas is larger than replication_factor")
        if self.sasl is not None and self.sasl.mechanism == "PLAIN" and self.tls is None:
            raise ValueError("sasl.mechanism PLAIN without tls would send the password in the open")
        return self


MetadataSettings: TypeAlias = PostgresqlSettings
DeepStorageSettings: TypeAlias = LocalStorageSettings
"""These two become unions told apart by `type` as soon as there is a second one."""
LogSettings: TypeAlias = Annotated[
    SqliteLogSettings | KafkaLogSettings, Field(discriminator="type")
]


class SourceSettings(_Part):
    """The cluster that is watched. Privileges that can only read are enough."""

    name: SourceName
    """Names the cluster in every event; never change it."""
    metadata: MetadataSettings
    """Where its metadata store is; a replica that lags by seconds will do."""
    deep_storage: DeepStorageSettings
    """Where its segments' bytes are."""


class RetrySettings(_Part):
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


class WatchSettings(_Part):
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


class DruidSettings(_Password):
    """A cluster's Coordinator and Overlord, for what is not in its metadata store."""

    coordinator_url: HttpUrl
    """`http://host:8081`, or that of a Router that forwards to it."""
    overlord_url: HttpUrl | None = None
    """`http://host:8090`; default: the Coordinator, which may be the Overlord too."""
    username: Annotated[str, Field(min_length=1)] | None = None
    """For basic authentication; default: none."""
    ca_file: AbsolutePath | None = None
    """Who signed the certificate of an https URL; default: the system's authorities."""
    request_timeout_s: Positive = 30.0
    """Longest wait for an answer, in seconds."""
    resume_timeout_s: Positive = 300.0
    """Longest wait for the tasks of a supervisor that was started, in seconds."""


class LoadRulesSettings(_Part):
    """How the source's load rules become the target's."""

    with_drops: bool = False
    """Whether rules that drop segments are carried too.

    A standby needs none: what they drop is marked in its row, and that is carried. Here they would
    drop it again after a restore to before the drop.
    """
    tiers: Tiers = {}
    """The target's name for a tier of the source, like {hot: _default_tier}; others keep theirs."""


class TargetSettings(_Part):
    """A cluster that is kept equal to the source."""

    metadata: MetadataSettings
    """Where its own metadata store is."""
    deep_storage: DeepStorageSettings
    """Where its own segments' bytes are, never inside the source's."""
    druid: DruidSettings | None = None
    """Its own Druid; needed to promote it, and to check its settings."""
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
    retry: RetrySettings = RetrySettings()
    """When to try a copy or a transaction again."""
    rpo: Duration = timedelta(seconds=60)
    """The promise that `replicator status` checks: how far the target may lag behind.

    The default is six polls: a lost poll or two breaks no promise.
    """


Targets = Annotated[Mapping[TargetName, TargetSettings], BeforeValidator(_nothing_is_empty)]


class Settings(_Part):
    """Everything that can be set."""

    source: SourceSettings
    """The cluster that is watched."""
    log: LogSettings
    """Where the history is kept."""
    watch: WatchSettings = WatchSettings()
    """How the source is polled."""
    targets: Targets = {}
    """The clusters that are kept equal to the source, by their names."""
    drain_s: Annotated[float, Field(ge=0, le=3600)] = 30.0
    """How long work in hand may go on after the first signal to stop, in seconds.

    The default is the grace period that Kubernetes gives.
    """

    @model_validator(mode="after")
    def _apart(self) -> Self:
        for problem in _collisions(self.source, self.targets):
            raise ValueError(problem)
        quiet_s = self.watch.idle_cut_interval_s + self.watch.poll_interval_s
        for name, target in self.targets.items():
            if target.rpo.total_seconds() < quiet_s:
                raise ValueError(
                    f"targets.{name}.rpo is shorter than watch.idle_cut_interval_s and"
                    f" poll_interval_s together ({quiet_s:g} s): a source without changes would"
                    " break the promise"
                )
        return self


def _collisions(source: SourceSettings, targets: Mapping[str, TargetSettings]) -> Iterable[str]:
    """Say which clusters would write into each other."""
    parts: list[tuple[str, SourceSettings | TargetSettings]] = [("source", source)]
    for name, target in targets.items():
        where = f"targets.{name}"
        for other, part in parts:
            if target.metadata.place == part.metadata.place:
                yield f"{where}.metadata and {other}.metadata are the same tables"
            if _overlap(target.deep_storage.root, part.deep_storage.root):
                yield (
                    f"{where}.deep_storage.root and {other}.deep_storage.root overlap:"
                    " two clusters must not write into one directory"
                )
        parts.append((where, target))


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _secret_of(environ: Mapping[str, str], name: str) -> str:
    if not (found := environ.get(name)):
        raise ConfigError(
            f"the environment variable {name} is not set; it should hold a password",
            hint=f"set {name}, or name another variable in password_env",
        )
    return found


def _secret_in(path: Path) -> str:
    try:
        found = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise ConfigError(f"the password file {path} cannot be read: {reason}") from None
    found = found.removesuffix("\n").removesuffix("\r")
    if not found:
        raise ConfigError(f"the password file {path} is empty")
    return found
