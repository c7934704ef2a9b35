"""Creates the retention services of one target's store from a configuration."""

from functools import cached_property

from replicator.app.wiring.histories import HistorySource, Tools, history_of
from replicator.app.wiring.pipeline import Pipeline, archivist, load_rules
from replicator.app.wiring.storages import layout
from replicator.app.wiring.stores import OpenStore
from replicator.app.wiring.target import ConfiguredTarget
from replicator.config import S3StorageSettings
from replicator.errors import ConfigError
from replicator.model.event import Offset
from replicator.model.log.row_mapping import control_form
from replicator.model.plans.restore_point import ToOffset
from replicator.model.store.archive_notes import RowForm
from replicator.model.store.holds import Hold
from replicator.services.retention.expirer import Expirer
from replicator.services.retention.holds import Holds
from replicator.services.retention.object_locks import ObjectLocker
from replicator.services.retention.planner import ExpiryLimits, ExpiryPlanner
from replicator.services.retention.references import References
from replicator.services.retention.retained import Retained
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.points import StorePoints


class Retention:
    """Creates the services of one store; everything that they need to know is in it.

    Args:
        archive: History in the store.
        pipeline: Creates the target's services, fed from that history, over the same store.
        target: Target that the store belongs to.
        tools: Everything that the services of one process share.
    """

    def __init__(
        self, archive: ArchivedLog, pipeline: Pipeline, target: ConfiguredTarget, tools: Tools
    ) -> None:
        self._archive, self._pipeline, self._tools = archive, pipeline, tools
        self._settings, self._remover = target.settings, target.storage
        self._target, self._store = pipeline.target, archive.store

    def planner(self) -> ExpiryPlanner:
        """Return the planner, which finds what would expire."""
        return ExpiryPlanner(
            self._target,
            self._store,
            retained=self._retained,
            references=self._references,
            remover=self._remover,
            limits=self._limits(),
        )

    def expirer(self) -> Expirer:
        """Return the expirer, which deletes it."""
        return Expirer(
            self._target,
            self._store,
            planner=self.planner(),
            retained=self._retained,
            remover=self._remover,
            archivist=self._pipeline.archivist(),
            retry=self._pipeline.retry(),
        )

    def object_locker(self) -> ObjectLocker:
        """Return the service that locks what is retained.

        Raises:
            ConfigError: the target's storage has no locks.
        """
        name, storage = self._target.name, self._settings.deep_storage
        if not isinstance(storage, S3StorageSettings) or storage.object_lock is None:
            raise ConfigError(
                f"nothing on target {name!r} can be locked: its storage has no `object_lock`",
                hint=f"set targets.{name}.deep_storage.object_lock, on a bucket that has it",
            )
        return self.locks()

    def locks(self) -> ObjectLocker:
        """Return the service that locks what is retained, for a storage that has locks."""
        return ObjectLocker(
            self._target,
            planner=self.planner(),
            retained=self._retained,
            references=self._references,
            remover=self._remover,
            retry=self._pipeline.retry(),
        )

    @cached_property
    def _retained(self) -> Retained:
        return Retained(
            self._target,
            self._store,
            reconciler=self._pipeline.reconciler(),
            references=self._references,
            layout=self._pipeline.locator().target,
        )

    @cached_property
    def _references(self) -> References:
        return References(
            store=self._store,
            locator=self._pipeline.locator(),
            workers=self._tools.workers,
            records_max=self._tools.records_per_read_max,
            observer=self._target.observer,
        )

    def _limits(self) -> ExpiryLimits:
        expiry = self._settings.expiry
        return ExpiryLimits(
            lease=expiry.lease,
            margin=expiry.margin,
            clock_skew_max=expiry.clock_skew_max,
            orphan_age_min=expiry.orphan_age_min,
        )


def holds(
    archive: ArchivedLog, history_source: HistorySource, target: ConfiguredTarget, tools: Tools
) -> Holds:
    """Return the holds of a store; the target's rows are not read.

    `history_source` reads from the `archive`.
    """
    history = history_of(history_source, tools, observer := tools.observer(target.name))
    return Holds(
        target=target.name,
        area=target.area(),
        points=StorePoints(archive.store, clock=tools.clock),
        archive=archive,
        history=history,
        archivist=archivist(
            target.settings.history,
            history_source,
            store=archive.store,
            rows=RowForm(
                layout=layout(target.settings.deep_storage),
                control=control_form(target.settings.config_names, load_rules(target.settings)),
            ),
            history=history,
            observer=observer,
            witness=target.witness,
        ),
        clock=tools.clock,
    )


async def keep_for(store: OpenStore, tools: Tools, into: str, offset: Offset) -> Hold:
    """Hold a cut for a target whose rows point into this store from now on."""
    return await holds(store.archive, store.history_source, store.target, tools).create(
        f"bytes-of-{into}-{offset}",
        ToOffset(offset=offset),
        reason=f"the rows of target {into} point into this store",
        until=None,
    )
