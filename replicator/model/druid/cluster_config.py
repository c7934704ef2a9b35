"""What a promoted standby takes over of its source's `druid_config`: what makes it whole.

A standby compacts nothing and knows only its own users; a primary that compacts nothing grows
until it is slow. Entries that name the source's hosts, or that are acts and not settings, stay
behind; so do the target's own system user and administrator, without whom it is locked out of
itself. Names and shapes were read in Druid 33 and 37 (CoordinatorDynamicConfig,
DruidCompactionConfig, WorkerBehaviorConfig) and, for users, in the source of basic security.
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
"""BasicAuthUtils: users, and roles of the same names, that Druid makes for itself."""
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
"""Members of the Coordinator's dynamic configuration that name hosts or are acts."""
ALIASES = "historicalTierAliases"
OF_THE_CLOUD = "autoScaler"
"""Key of a worker configuration with the source's own cloud: images, networks and scripts."""
_HOST = re.compile(r"[^\s/:]+:\d{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What is taken over."""

    compaction: bool = True
    coordinator: bool = True
    workers: bool = True
    brokers: bool = True
    security: bool = False
    keep: frozenset[str] = SYSTEM_USERS
    """Users and roles of the target that stay as they are."""

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
    """Something of the source that the target does without."""

    name: str
    """An entry, or one of its members."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What a promotion writes into `druid_config`."""

    rows: tuple[ConfigEntry, ...] = ()
    """Entries as they will be; those that are so already are not among them."""
    left: tuple[Left, ...] = ()


def aliases_of(dynamic: Any) -> Mapping[str, Sequence[str]]:
    """Return the tiers that each alias stands for, by the Coordinator's dynamic configuration.

    `historicalTierAliases` of a Druid 38: rules that load into an alias load into each of its
    tiers, and into none where it is not known.
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
    source: Mapping[str, ConfigEntry], target: Mapping[str, ConfigEntry], wishes: Wishes
) -> Configuration:
    """Return what of a source's entries a target takes over."""
    rows: list[ConfigEntry] = []
    left: list[Left] = []
    for name in sorted(source):
        if not (wishes.wants(name) or _is_ours(name)):
            continue
        if not wishes.wants(name):
            left.append(Left(name=name, why="the settings of this promotion leave it out"))
            continue
        own = target.get(name)
        try:
            before = None if own is None else own.payload
            payload, without = _merged(source[name].payload, before, name, wishes)
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
    source: bytes, own: bytes | None, name: str, wishes: Wishes
) -> tuple[bytes | None, list[Left]]:
    """Return the entry as it will be (None: unchanged), and what was left out."""
    if is_security(name):
        return _users(source, own, wishes.keep), []
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
    """Yield each text that reads like `host:port`, of names and values alike."""
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
    """Return the source's users beside the target's, whose own of some names stay.

    Also of roles and group mappings, which are kept alike: an object by name.
    """
    read, write = _codec(source)
    found = read(source)
    before = {} if own is None else _codec(own)[0](own)
    taken = {name: value for name, value in found.items() if name not in keep}
    merged = {**before, **taken}
    return None if merged == before else write(merged)


def _codec(data: bytes) -> tuple[Callable[[bytes], dict[str, Any]], Callable[[Any], bytes]]:
    """Return how an entry is read and written: Druid keeps users in Smile."""
    if smile.is_smile(data):
        return lambda payload: smile.as_object(smile.loads(payload)), smile.dumps
    return parse, encoded
