"""Prepares a target: Druid's tables, the replicator's, the deep storage; checks its settings."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from replicator.errors import NotFoundError, RefusedError
from replicator.model.druid.cluster_config import COORDINATOR, aliases_of
from replicator.model.druid.druid_tables import TableRelease
from replicator.model.druid.load_rules import LoadRules, tiers
from replicator.model.druid.payload import parse
from replicator.model.druid.standby import Judged, judge
from replicator.model.row import ConfigEntry, Kind, Rules
from replicator.ports import MetadataReader, NewMetadata, NewStorage, Obstacle, SourceReader
from replicator.ports.druid import DruidCluster
from replicator.services.standby.promoter import rows_of
from replicator.services.standby.skew import Skew


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """What was created, and what was found."""

    tables_made: bool
    """Whether Druid's tables were created; False: Druid or an earlier run had done so."""
    tables: TableRelease | None
    """Druid release whose tables were created, if `create` chose it; None otherwise."""
    judged: tuple[Judged, ...] | None
    """Verdict on each setting of the target's Druid; None: its address is not configured."""
    tiers_missing: tuple[str, ...]
    """Tiers that the source's rules name and the target does not have: nothing would load there."""
    aliases_missing: Mapping[str, Sequence[str]]
    """Missing tiers that are aliases at the source's Coordinator, with the tiers they stand for."""
    skew: Skew
    """Releases of the two Druids, and what the target's is too old for."""
    obstacles: tuple[Obstacle, ...]
    """Obstacles that keep rows from being written to its tables."""


async def create(
    *,
    metadata: NewMetadata,
    storage: NewStorage,
    druid: DruidCluster | None,
    source: SourceReader | None,
    skew: Callable[[], Awaitable[Skew]],
    load_rules: LoadRules,
    release: str | None,
    found_out: Callable[[], Awaitable[TableRelease | None]],
    centralized: bool,
) -> Created:
    """Create what is missing; whatever exists stays as it is.

    Without a `source` there are no rules to look at. `found_out` returns which tables are needed,
    where there are none and the operator named no release.

    Raises:
        ConfigError: a privilege is missing, or the release's tables are not known.
        RefusedError: there are no tables, and the operator named no release.
        TransientError: a server is away.
    """
    made, tables = await _made(metadata, release, found_out, centralized=centralized)
    await storage.create()
    obstacles = tuple(await metadata.obstacles())
    if druid is None or source is None:
        return Created(
            tables_made=made,
            tables=tables,
            judged=None if druid is None else judge(await druid.properties()),
            tiers_missing=(),
            aliases_missing={},
            skew=Skew(source=None, target=None) if source is None else await skew(),
            obstacles=obstacles,
        )
    missing = await _tiers_missing(source, load_rules, druid)
    return Created(
        tables_made=made,
        tables=tables,
        judged=judge(await druid.properties()),
        tiers_missing=missing,
        aliases_missing={
            name: tiers for name, tiers in (await _aliases(source)).items() if name in missing
        },
        skew=await skew(),
        obstacles=obstacles,
    )


async def _made(
    metadata: NewMetadata,
    release: str | None,
    found_out: Callable[[], Awaitable[TableRelease | None]],
    *,
    centralized: bool,
) -> tuple[bool, TableRelease | None]:
    try:
        return await metadata.create(release, centralized=centralized), None
    except NotFoundError as exc:
        if (found := await found_out()) is None:
            raise RefusedError(
                f"{exc}, and the source has no rows yet that tell its release; nothing was made",
                hint="use --druid-release 33.0.0, or which one the target runs; or start its"
                " Coordinator once, which makes them",
            ) from exc
    both = centralized or found.centralized
    made = await metadata.create(found.release, centralized=both)
    return made, replace(found, centralized=both)


async def _tiers_missing(
    source: MetadataReader, load_rules: LoadRules, druid: DruidCluster
) -> tuple[str, ...]:
    wanted: set[str] = set()
    for row in await rows_of(source, Kind.RULES):
        if isinstance(row, Rules):
            wanted |= tiers(load_rules.mapped(row.payload))
    known = await druid.tiers()
    aliases = (await druid.tier_aliases()).items()
    # A Coordinator resolves tier aliases itself: a rule that names one loads all the same.
    known |= {name for name, some in aliases if not known.isdisjoint(some)}
    return tuple(sorted(wanted - known))


async def _aliases(source: MetadataReader) -> Mapping[str, Sequence[str]]:
    for row in await rows_of(source, Kind.CONFIG):
        if isinstance(row, ConfigEntry) and row.name == COORDINATOR:
            return aliases_of(parse(row.payload))
    return {}
