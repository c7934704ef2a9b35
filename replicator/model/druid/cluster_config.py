"""The entries of the source's `druid_config` that a promoted standby takes over.

A standby compacts nothing and knows only its own users; a primary that compacts nothing grows
until it is slow. Entries that name the source's hosts, or that are actions and not settings, are
left out. The target keeps its own system user and administrator, without whom its servers could
not log in. Names and shapes are those of Druid 33 and 37 (CoordinatorDynamicConfig,
DruidCompactionConfig, WorkerBehaviorConfig) and, for users, of the basic security extension.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from replicator.errors import MalformedRowError
from replicator.model.druid import smile
from replicator.model.druid.payload import encoded, parse
from replicator.model.row import ConfigEntry

COORDINATOR, COMPACTION = "coordinator.config", "coordinator.compaction.config"
WORKERS, BROKERS = "worker.config", "broker.config"
SECURITY = re.compile(
    r"basic_(?:authentication_.+_users|authorization_.+_(?:users|roles|groupMappings))"
)
"""CoordinatorBasicAuthenticatorMetadataStorageUpdater, …AuthorizerMetadataStorageUpdater."""
SYSTEM_USERS = frozenset({"druid_system", "admin"})
"""Users, and roles of the same names, that Druid creates for itself (BasicAuthUtils)."""
ACTS = frozenset(
    {
        "pauseCoordination",
        "decommissioningNodes",
        "cloneServers",
        "turboLoadingNodes",
        "killDataSourceWhitelist",
        "killDataSourceAllowlist",
        "specificDataSourcesToKillUnusedSegmentsIn",
        "killPendingSegmentsSkipList",
        "dataSourcesToNotKillStalePendingSegmentsIn",
    }
)
"""Members of the Coordinator's dynamic configuration that name hosts or are actions."""
ALIASES = "historicalTierAliases"
OF_THE_CLOUD = "autoScaler"
"""Member of a worker configuration about the source's cloud: images, networks and scripts."""
_HOST = re.compile(r"[^\s/:]+:\d{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigParts:
    """The parts of the configuration that the target takes over."""

    compaction: bool = True
    coordinator: bool = True
    workers: bool = True
    brokers: bool = True
    security: bool = False
    keep: frozenset[str] = SYSTEM_USERS
    """Users and roles that the target keeps as they are."""

    def wants(self, name: str) -> bool:
        """Return whether an entry of `druid_config` is taken over."""
        wanted = {
            COMPACTION: self.compaction,
            COORDINATOR: self.coordinator,
            WORKERS: self.workers,
            BROKERS: self.brokers,
        }
        return wanted.get(name, self.security and is_security(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A part of the source's configuration that the target does not take over."""

    name: str
    """Name of an entry, or of one of its members."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Result of taking over the source's `druid_config`."""

    rows: tuple[ConfigEntry, ...] = ()
    """Entries to write; entries that would not change are left out."""
    left: tuple[Left, ...] = ()


def aliases_of(dynamic: Any) -> Mapping[str, Sequence[str]]:
    """Return the tiers behind each alias in the Coordinator's dynamic configuration.

    They are `historicalTierAliases` of Druid 38: a rule that loads into an alias loads into each of
    its tiers. A Coordinator that does not know the alias loads into none.
    """
    found = dynamic.get(ALIASES) if isinstance(dynamic, dict) else None
    if not isinstance(found, dict):
        return {}
    return {
        str(name): [str(tier) for tier in tiers]
        for name, tiers in found.items()
        if isinstance(tiers, list)
    }


def is_security(name: str) -> bool:
    """Return whether an entry holds users, roles or group mappings of basic security."""
    return SECURITY.fullmatch(name) is not None


def configuration(
    source: Mapping[str, ConfigEntry], target: Mapping[str, ConfigEntry], parts: ConfigParts
) -> Configuration:
    """Return the entries of the source that a target takes over, and those that it leaves out."""
    rows: list[ConfigEntry] = []
    left: list[Left] = []
    for name in sorted(source):
        if not (parts.wants(name) or _is_ours(name)):
            continue
        if not parts.wants(name):
            left.append(Left(name=name, why="the settings of this promotion leave it out"))
            continue
        own = target.get(name)
        try:
            before = None if own is None else own.payload
            payload, without = _merged(source[name].payload, before, name, parts)
        except MalformedRowError as exc:
            left.append(Left(name=name, why=str(exc)))
            continue
        left += without
        if payload is not None and (own is None or own.payload != payload):
            rows.append(ConfigEntry(name=name, payload=payload))
    return Configuration(rows=tuple(rows), left=tuple(left))


def _is_ours(name: str) -> bool:
    return name in {COMPACTION, COORDINATOR, WORKERS, BROKERS} or is_security(name)


def _merged(
    source: bytes, own: bytes | None, name: str, parts: ConfigParts
) -> tuple[bytes | None, list[Left]]:
    """Return the merged entry (None: unchanged), and the parts that were left out."""
    if is_security(name):
        return _users(source, own, parts.keep), []
    if name == COORDINATOR:
        return _coordinator(source, own)
    if name == WORKERS:
        return _workers(source)
    return source, []


def _coordinator(source: bytes, own: bytes | None) -> tuple[bytes, list[Left]]:
    found, before = parse(source), {} if own is None else parse(own)
    left = [
        Left(name=f"{COORDINATOR} {member}", why=why)
        for member, value in found.items()
        if value and (why := _why_not(member, value))
    ]
    taken = {name: value for name, value in found.items() if not _why_not(name, value)}
    merged = {**before, **taken}
    return (own if own is not None and merged == before else encoded(merged)), left


def _why_not(member: str, value: Any) -> str | None:
    if member in ACTS:
        return "it names what is of the source alone, or is an act and no setting"
    if host := next(_hosts(value), None):
        return f"it names the host {host}"
    return None


def _workers(source: bytes) -> tuple[bytes | None, list[Left]]:
    found = parse(source)
    if host := next(_hosts(found.get("selectStrategy")), None):
        return None, [Left(name=WORKERS, why=f"it names the host {host}")]
    if found.get(OF_THE_CLOUD) is None:
        return source, []
    left = Left(name=f"{WORKERS} {OF_THE_CLOUD}", why="it is made for the source's own cloud")
    return encoded({**found, OF_THE_CLOUD: None}), [left]


def _hosts(value: Any) -> Iterator[str]:
    """Yield each string, of names and of values, that looks like `host:port`."""
    if isinstance(value, str) and _HOST.fullmatch(value):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from _hosts(name)
            yield from _hosts(member)
    elif isinstance(value, list):
        for item in value:
            yield from _hosts(item)


def _users(source: bytes, own: bytes | None, keep: frozenset[str]) -> bytes | None:
    """Return the users of both clusters; those named in `keep` are always the target's.

    The same holds for roles and group mappings, which are stored alike, as an object by name.
    """
    read, write = _codec(source)
    found = read(source)
    before = {} if own is None else _codec(own)[0](own)
    taken = {name: value for name, value in found.items() if name not in keep}
    merged = {**before, **taken}
    return None if merged == before else write(merged)


def _codec(data: bytes) -> tuple[Callable[[bytes], dict[str, Any]], Callable[[Any], bytes]]:
    """Return the functions that read and write an entry: Druid stores users in Smile."""
    if smile.is_smile(data):
        return lambda payload: smile.as_object(smile.loads(payload)), smile.dumps
    return parse, encoded
