"""Prepares a target: Druid's tables, our own, its deep storage; and looks at its settings."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from replicator.errors import NotFoundError, RefusedError
from replicator.model.cluster_config import COORDINATOR, aliases_of
from replicator.model.load_rules import LoadRules, tiers
from replicator.model.payload import parse
from replicator.model.row import ConfigEntry, Kind, Rules
from replicator.model.standby import Judged, judge
from replicator.ports import (
    DruidCluster,
    MetadataReader,
    NewMetadata,
    NewStorage,
    Obstacle,
    SourceReader,
)
from replicator.services.standby.promoter import rows_of
from replicator.services.standby.skew import Skew


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What was made, and what was found."""

    tables_made: bool
    """False: Druid, or an earlier run, had made them."""
    judged: tuple[Judged, ...] | None
    """The settings of its Druid; None: nobody knows where that is."""
    tiers_missing: tuple[str, ...]
    """Tiers that the source's rules name and the target does not have: nothing would load there."""
    aliases_missing: Mapping[str, Sequence[str]]
    """Of these, aliases that the source's Coordinator knows, with the tiers they stand for."""
    skew: Skew
    """Which releases the two Druids run, and what the target is too old for."""
    obstacles: tuple[Obstacle, ...]
    """What still keeps its tables from being written as they must be."""


async def create(
    *,
    metadata: NewMetadata,
    storage: NewStorage,
    druid: DruidCluster | None,
    source: SourceReader,
    skew: Callable[[], Awaitable[Skew]],
    load_rules: LoadRules,
    release: str | None,
    centralized: bool,
) -> Created:
    """Make what is missing; what is there is left as it is.

    Raises:
        ConfigError: a privilege is missing, or the release's tables are not known.
        RefusedError: there are no tables, and nobody said for which release.
        TransientError: a server is away.
    """
    made = await _made(metadata, release, centralized=centralized)
    await storage.create()
    obstacles = tuple(await metadata.obstacles())
    if druid is None:
        return Created(
            tables_made=made,
            judged=None,
            tiers_missing=(),
            aliases_missing={},
            skew=await skew(),
            obstacles=obstacles,
        )
    missing = await _tiers_missing(source, load_rules, druid)
    return Created(
        tables_made=made,
        judged=judge(await druid.properties()),
        tiers_missing=missing,
        aliases_missing={
            name: tiers for name, tiers in (await _aliases(source)).items() if name in missing
        },
        skew=await skew(),
        obstacles=obstacles,
    )


async def _made(metadata: NewMetadata, release: str | None, *, centralized: bool) -> bool:
    try:
        return await metadata.create(release, centralized=centralized)
    except NotFoundError as exc:
        raise RefusedError(
            f"{exc}; nothing was made",
            hint="say --druid-release 33.0.0, or which one the target runs; or start its"
            " Coordinator once, which makes them",
        ) from exc


async def _tiers_missing(
    source: MetadataReader, load_rules: LoadRules, druid: DruidCluster
) -> tuple[str, ...]:
    wanted: set[str] = set()
    for row in await rows_of(source, Kind.RULES):
        if isinstance(row, Rules):
            wanted |= tiers(load_rules.mapped(row.payload))
    known = await druid.tiers()
    aliases = (await druid.tier_aliases()).items()
    known |= {name for name, some in aliases if not known.isdisjoint(some)}
    return tuple(sorted(wanted - known))


async def _aliases(source: MetadataReader) -> Mapping[str, Sequence[str]]:
    for row in await rows_of(source, Kind.CONFIG):
        if isinstance(row, ConfigEntry) and row.name == COORDINATOR:
            return aliases_of(parse(row.payload))
    return {}
