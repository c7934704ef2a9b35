"""Drills, made from one configuration: a scratch PostgreSQL and a scratch folder for each."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from replicator import __version__
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.postgresql.writer import PostgresqlMetadataWriter
from replicator.adapters.scratch import postgresql as embedded_postgresql
from replicator.adapters.scratch.folder import free_bytes, scratch
from replicator.app.application import Application
from replicator.app.verbs.restoring import Place
from replicator.app.wiring.histories import Tools
from replicator.app.wiring.pipeline import Pipeline, mapping
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import (
    DrillSettings,
    LocalStorageSettings,
    PostgresqlSettings,
    ScratchDruidSettings,
    Settings,
    TargetSettings,
)
from replicator.model.observation import Observer
from replicator.services.drills.driller import Driller, Rehearsal
from replicator.services.drills.druid_trial import DruidTrial, TrialLimits
from replicator.services.records.drill_record import DrillRecord

if TYPE_CHECKING:
    from replicator.adapters.scratch.druid import Distribution

# The HTTP client takes a while to import, so it is imported only where a Druid is tried.

DATABASE, SEGMENTS, DRUID = "postgresql", "segments", "druid"
"""Names of the parts of a scratch folder."""


def record(application: Application, name: str) -> DrillRecord:
    """Return the record of evidence in a target's store."""
    return DrillRecord(application.target(name).area())


def driller(
    application: Application,
    name: str,
    *,
    log_id: str | None = None,
    without_witness: bool = False,
) -> Driller:
    """Return the driller of a target's store; its witness may be left out.

    Raises:
        ConfigError: the package of the embedded PostgreSQL is not installed, or there is no Druid
            at the configured path.
    """
    embedded_postgresql.require()
    if (druid := application.settings.drill.druid) is not None:
        _ = _distribution(application.settings, druid).release
    return Driller(
        target=name,
        record=record(application, name),
        rehearse=lambda observer: _rehearsal(
            application,
            Place(
                target=name,
                into=name,
                from_store=True,
                log_id=log_id,
                without_witness=without_witness,
            ),
            observer,
        ),
        bytes_max=application.settings.drill.bytes_max,
        program=__version__,
        clock=application.clock,
        rng=application.tools.rng,
        observer=application.monitoring.observer(name),
    )


@asynccontextmanager
async def _rehearsal(
    application: Application, place: Place, observer: Observer
) -> AsyncGenerator[Rehearsal]:
    """Open a store, and create an empty cluster's metadata and deep storage to restore it to."""
    settings = application.settings.drill
    store = await place.open(application)
    store.require_newest()
    store.archive.fix()  # a drill restores one of the cuts that are listed now
    testimony = store.testimony
    async with (
        scratch(settings.folder, _stop_database) as folder,
        _database(folder, settings) as dsn,
    ):
        target = await _scratch_target(store.target, folder, dsn, settings)
        tools = Tools(
            workers=application.tools.workers,
            clock=application.clock,
            rng=application.tools.rng,
            observer=lambda _: observer,
        )
        rule = await mapping(store.history_source, target)
        pipeline = Pipeline(store.history_source, target, tools, mapping=rule)
        yield Rehearsal(
            source=store.about.source,
            windows=store.windows,
            not_proved=None if testimony is None or testimony.proves else testimony.text,
            free_bytes=free_bytes(folder),
            restorer=pipeline.restorer(store.backup(), of=store.target),
            verifier=pipeline.verifier(),
            trial=_trial(application, folder, dsn, observer),
        )


@asynccontextmanager
async def _database(folder: Path, settings: DrillSettings) -> AsyncGenerator[str]:
    """Run a scratch PostgreSQL; on loopback only for a Druid: Java knows no Unix sockets."""
    async with embedded_postgresql.running(
        folder / DATABASE,
        loopback=None if settings.druid is None else embedded_postgresql.Loopback(),
        start_timeout_s=settings.start_timeout_s,
    ) as server:
        yield server.dsn() if settings.druid is None else server.loopback_dsn()


def _trial(
    application: Application, folder: Path, dsn: str, observer: Observer
) -> DruidTrial | None:
    druid, queries = application.settings.drill.druid, application.settings.queries
    if druid is None:
        return None
    from replicator.adapters.scratch.druid import ScratchProcesses  # noqa: PLC0415 - see above

    return DruidTrial(
        ScratchProcesses(
            _distribution(application.settings, druid),
            folder / DRUID,
            dsn=dsn,
            deep_storage=folder / SEGMENTS,
        ),
        limits=TrialLimits(
            stall_timeout_s=druid.stall_timeout.total_seconds(),
            in_flight_max=queries.in_flight_max,
            columns_per_query_max=queries.columns_per_query_max,
            interval_min_s=queries.interval_min_s,
            retry=queries.retry.policy,
        ),
        rng=application.tools.rng,
        observer=observer,
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


async def _scratch_target(
    drilled: ConfiguredTarget, folder: Path, dsn: str, settings: DrillSettings
) -> ConfiguredTarget:
    """Return an empty target like the drilled one, in a scratch folder."""
    metadata = PostgresqlMetadataWriter(dsn)
    await metadata.create(settings.druid_release, centralized=settings.centralized_schema)
    (folder / SEGMENTS).mkdir(mode=0o700)  # a Druid of the drill runs as the same user
    storage = LocalDeepStorage(folder / SEGMENTS)
    await storage.create()
    return ConfiguredTarget(
        name=f"the drill of {drilled.name}",
        settings=_scratch_settings(drilled.settings, dsn, folder / SEGMENTS),
        metadata=metadata,
        storage=storage,
    )


def _scratch_settings(drilled: TargetSettings, dsn: str, root: Path) -> TargetSettings:
    url = urlsplit(dsn)
    login = (url.username or "", url.netloc.rpartition("@")[2])
    without_password = url._replace(netloc="@".join(login)).geturl()
    return drilled.model_copy(
        update={
            "metadata": PostgresqlSettings(type="postgresql", url=without_password),
            "deep_storage": LocalStorageSettings(type="local", root=root),
            "druid": None,
            "retention": None,
        }
    )


async def _stop_database(folder: Path) -> None:
    await embedded_postgresql.stop(folder / DATABASE)
