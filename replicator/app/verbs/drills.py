"""Drills, made from one configuration: a scratch PostgreSQL and a scratch folder for each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator import __version__
from replicator.adapters.scratch import postgresql as embedded_postgresql
from replicator.app.wiring.histories import Tools
from replicator.app.wiring.pipeline import open_pipeline
from replicator.app.wiring.scratch_cluster import ScratchCluster, scratch_cluster
from replicator.app.wiring.stores import OpenStore, open_store
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import ScratchDruidSettings, Settings
from replicator.errors import ReplicatorError
from replicator.model.store.drill import DrillPoint, Evidence
from replicator.services.drills.driller import Driller, Rehearsal
from replicator.services.drills.druid_trial import DruidTrial, TrialLimits
from replicator.services.records.drill_record import DrillRecord

if TYPE_CHECKING:
    from replicator.adapters.scratch.druid import Distribution

# The HTTP client takes a while to import, so it is imported only where a Druid is tried.

DRUID = "druid"
"""Name of the Druid's part of a scratch folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrilledStore:
    """Which history of a target's store is drilled."""

    target: ConfiguredTarget
    log_id: str | None = None
    """Log of the history; None: the one that reaches furthest."""
    without_witness: bool = False
    """Whether the store's witness is left out, so that nothing proves its newest cuts."""


async def drill(
    drilled: DrilledStore, point: DrillPoint, settings: Settings, tools: Tools
) -> Evidence:
    """Restore a cut from a target's store into a scratch cluster, prove it, keep the evidence.

    Once the store is open and the cluster there, a drill that fails leaves evidence as well.

    Raises:
        ConfigError: the package of the embedded PostgreSQL is not installed, or there is no Druid
            at the configured path.
        GapError: the store lacks the cut, or some of its bytes.
        CorruptionError: bytes or history are not those that were stored.
        RefusedError: there is not enough room for the drill.
        ReplicatorError: any other reason that ended the drill early.
    """
    embedded_postgresql.require()
    if (druid := settings.drill.druid) is not None:
        _ = _distribution(settings, druid).release
    driller = Driller(
        target=drilled.target.name,
        record=DrillRecord(drilled.target.area()),
        bytes_max=settings.drill.bytes_max,
        program=__version__,
        clock=tools.clock,
        rng=tools.rng,
        observer=tools.observer(drilled.target.name),
    )
    begun = driller.begin(point)
    try:
        store = await open_store(
            drilled.target,
            drilled.log_id,
            without_witness=drilled.without_witness,
            workers=tools.workers,
            clock=tools.clock,
            observer=begun.observer,
        )
        store.require_newest()
        store.archive.fix()  # a drill restores one of the cuts that are listed now
        async with scratch_cluster(store.target, settings.drill) as cluster:
            own = tools.reporting_to(begun.observer)
            await begun.run(await _rehearsal(store, cluster, settings, own))
    except ReplicatorError as exc:
        await driller.fail(begun, exc)
        raise
    return await driller.end(begun)


async def _rehearsal(
    store: OpenStore, cluster: ScratchCluster, settings: Settings, tools: Tools
) -> Rehearsal:
    """Return the services that restore the store's cuts to the cluster, and prove them."""
    pipeline = await open_pipeline(store.history_source, cluster.target, tools)
    testimony = store.testimony
    return Rehearsal(
        source=store.about.source,
        windows=store.windows,
        not_proved=None if testimony is None or testimony.proves else testimony.text,
        free_bytes=cluster.free_bytes,
        restorer=pipeline.restorer(store.backup(), of=store.target),
        verifier=pipeline.verifier(),
        trial=_trial(cluster, settings, tools),
    )


def _trial(cluster: ScratchCluster, settings: Settings, tools: Tools) -> DruidTrial | None:
    druid, queries = settings.drill.druid, settings.queries
    if druid is None:
        return None
    from replicator.adapters.scratch.druid import ScratchProcesses  # noqa: PLC0415 - see above

    return DruidTrial(
        ScratchProcesses(
            _distribution(settings, druid),
            cluster.folder / DRUID,
            dsn=cluster.dsn,
            deep_storage=cluster.deep_storage,
        ),
        limits=TrialLimits(
            stall_timeout_s=druid.stall_timeout.total_seconds(),
            in_flight_max=queries.in_flight_max,
            columns_per_query_max=queries.columns_per_query_max,
            interval_min_s=queries.interval_min_s,
            retry=queries.retry.policy,
        ),
        rng=tools.rng,
        observer=tools.observer(cluster.target.name),
    )


def _distribution(settings: Settings, druid: ScratchDruidSettings) -> "Distribution":
    from replicator.adapters.scratch.druid import Distribution  # noqa: PLC0415 - see above

    return Distribution(
        home=druid.home,
        java=druid.java,
        extensions=druid.extensions,
        properties=druid.properties,
        heap_bytes_max=druid.heap_bytes_max,
        disk_bytes_max=settings.drill.bytes_max,
        start_timeout_s=druid.start_timeout_s,
        query_timeout_s=settings.queries.query_timeout_s,
    )
