"""Prepares a target: its tables, its folder, and its Druid's settings."""

from functools import partial

from replicator.app.application import Application
from replicator.app.wiring.pipeline import load_rules
from replicator.errors import CorruptionError, NotFoundError
from replicator.model.druid.druid_tables import TableRelease
from replicator.model.druid.release import release_of
from replicator.services.standby.creation import Created, create
from replicator.services.standby.druid_tables import tables_of_history, tables_of_source


async def prepare(
    application: Application, name: str, *, release: str | None, centralized: bool
) -> Created:
    """Create what a target lacks; the release of its tables is found out if it is not given.

    Raises:
        ConfigError, RefusedError, TransientError: as for `create`.
    """
    target, settings = application.target(name), application.settings
    return await create(
        metadata=target.metadata,
        storage=target.plain_storage,
        druid=application.standbys.druid(name),
        source=None if settings.source is None else application.source.metadata(),
        skew=partial(application.standbys.skew, name),
        load_rules=load_rules(target.settings),
        release=release or target.settings.druid_release,
        found_out=partial(_tables, application, name),
        centralized=centralized,
    )


async def _tables(application: Application, name: str) -> TableRelease | None:
    """Return the tables that a target needs: the source's, or those of other stores' rows."""
    if application.settings.source is None:
        return await _tables_of_stores(application, name)
    status = application.source.druid()
    found = await tables_of_source(application.source.metadata())
    if status is None or (running := release_of(await status.release())) is None:
        return found
    return TableRelease(
        release=running.text,
        centralized=found is not None and found.centralized,
        because="the source runs that release",
    )


async def _tables_of_stores(application: Application, name: str) -> TableRelease | None:
    """Return which tables the newest history in the other targets' stores needs."""
    for other in application.target_names:
        if other == name:
            continue
        try:
            store = await application.store(other)
        except (NotFoundError, CorruptionError):
            continue  # another store may have a history
        until = store.windows.windows[-1].last.offset
        found = await tables_of_history(store.history, until, other)
        if found is not None:
            return found
    return None
