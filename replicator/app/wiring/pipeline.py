"""The services of one target with one history: the live log's, or a store's.

This is the only wiring there is: commands, drills, tests and the simulation get their services from
here, and differ in the adapters that they give to it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType

from replicator.app.wiring.histories import HistorySource, Tools, history_of
from replicator.app.wiring.storages import layout
from replicator.app.wiring.target import ConfiguredTarget, store_of, store_points, written_for
from replicator.config import (
    HistorySettings,
    S3StorageSettings,
    TargetSettings,
    WatchSettings,
)
from replicator.errors import ConfigError
from replicator.model.druid.load_rules import LoadRules
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.load_spec import Layout
from replicator.model.log.locations import TargetLocator
from replicator.model.log.row_mapping import RowMapping
from replicator.model.observation import Observer
from replicator.model.plans.cost import CopyRoute
from replicator.model.store.archive_notes import RowForm
from replicator.ports import (
    ChangeStream,
    DeepStorageReader,
    EventLogWriter,
    WatchedReader,
)
from replicator.services.history.reader import History
from replicator.services.replication.applier import Applier, ApplyOptions
from replicator.services.replication.commit_follower import CommitFollower, FollowLimits
from replicator.services.replication.companions import BaseWriter, HistoryMerger
from replicator.services.replication.cut_writer import CutLimits, CutWriter
from replicator.services.replication.readers import LogReader, Readers
from replicator.services.replication.scout import VersionOptions
from replicator.services.replication.watcher import Watcher, WatchLimits
from replicator.services.restore.estimator import Estimator
from replicator.services.restore.renamer import Renamer
from replicator.services.restore.restorer import Restorer
from replicator.services.running.loop import OF_A_TARGET, OF_A_TARGET_ALONE, LookInterval
from replicator.services.running.retry import Retry
from replicator.services.store.archivist import ArchiveLimits, Archivist
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.store.intents import Intents
from replicator.services.store.merger import FILES_MIN, MergeLimits, Merger
from replicator.services.store.restore_lease import Keep, LeaseLimits, RestoreLeases
from replicator.services.store.store import Store
from replicator.services.store.witness import HeadKeeper, Witness
from replicator.services.target.copier import Backup, BytesFrom, Copier
from replicator.services.target.executor import Executor
from replicator.services.target.gap_healer import GapHealer
from replicator.services.target.rates import RateBook
from replicator.services.target.reconciler import Reconciler
from replicator.services.target.target import Target
from replicator.services.verification.repairer import Repairer, RepairSource
from replicator.services.verification.verifier import Verifier

RENEWALS_PER_LEASE = 5
"""Renewals in the length of a restore's lease, which therefore survives some failed ones."""
BASE_LOOK_S = 60.0
"""Seconds between two checks whether a target's next base is due."""
MERGE_LOOK_S = 300.0
"""Seconds between two looks for small files to merge; each lists the history."""
MERGED_STAY_S = 600.0
"""Seconds for which merged files stay beside the one that holds them: no listing takes as long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """The operator's permissions for an applier's run."""

    resume: bool = False
    """Whether the operator lets the applier continue after a restore in place."""
    adopt: bool = False
    """Whether the applier may take over a target with rows that this tool did not write."""
    new_log: bool = False
    """Whether the target changes to the configured log because the log it followed is lost."""
    alone: bool = False
    """Whether its process does nothing else, and ends with what is wrong at its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Following:
    """A source's change stream, and how it is followed."""

    stream: ChangeStream
    read_interval_s: float
    retained_bytes_max: int


def watcher(
    settings: WatchSettings,
    *,
    source: str,
    metadata: WatchedReader,
    log: EventLogWriter,
    history: History,
    tools: Tools,
    observer: Observer,
    trust_versions: bool = False,
    accept_vanished: bool = False,
    following: Following | None = None,
    readers: Mapping[str, LogReader] = MappingProxyType({}),
) -> Watcher:
    """Return the watcher of a source; `history` reads the log that the watcher writes to.

    With `trust_versions`, row versions and the change stream are trusted again although they missed
    a change; with `accept_vanished`, nearly all of the source's rows may be gone at once.
    `readers` are the source's targets, by their names.
    """
    writer = CutWriter(
        source=source,
        log=log,
        history=history,
        limits=CutLimits(
            append_bytes_max=settings.append_bytes_max,
            row_bytes_max=settings.row_bytes_max,
            clock_ahead_max=settings.clock_ahead_max,
        ),
        clock=tools.clock,
        observer=observer,
        readers=Readers(source, readers, observer),
    )
    return Watcher(
        metadata=metadata,
        writer=writer,
        history=history,
        follower=None
        if following is None
        else CommitFollower(
            following.stream,
            writer=writer,
            history=history,
            limits=FollowLimits(
                read_interval_s=following.read_interval_s,
                idle_cut_interval_s=settings.idle_cut_interval_s,
                audit_interval_s=settings.full_scan_interval.total_seconds(),
                retained_bytes_max=following.retained_bytes_max,
            ),
            observer=observer,
        ),
        limits=WatchLimits(
            poll_interval_s=settings.poll_interval_s,
            jitter=settings.jitter,
            idle_cut_interval_s=settings.idle_cut_interval_s,
            fetch_rows_max=settings.fetch_rows_max,
            vanished_share_max=1.0 if accept_vanished else settings.vanished_share_max,
            versions=VersionOptions(
                enabled=settings.row_versions,
                full_scan_interval_s=settings.full_scan_interval.total_seconds(),
                trusted_again=trust_versions,
            ),
        ),
        retry=settings.retry.policy,
        rng=tools.rng,
        observer=observer,
    )


async def mapping(
    history_source: HistorySource, target: ConfiguredTarget, *, elsewhere: Layout | None = None
) -> RowMapping:
    """Return the rule that maps the source's rows to a target's; the target's tables are read.

    `elsewhere` is the layout of the storage that holds the bytes, if not the target's own.
    """
    return RowMapping(
        source=history_source.layout,
        target=elsewhere or layout(target.settings.deep_storage),
        config_names=target.settings.config_names,
        columns=await target.metadata.columns(),
        load_rules=load_rules(target.settings),
        druid=OlderDruid(release=await written_for(target)),
    )


def archivist(
    settings: HistorySettings,
    history_source: HistorySource,
    *,
    store: Store,
    rows: RowForm,
    history: History,
    observer: Observer,
    witness: Witness | None,
) -> Archivist:
    """Return the service that writes a history to a target's store."""
    return Archivist(
        source=history_source.source,
        store=store,
        source_layout=history_source.layout,
        rows=rows,
        history=history,
        limits=ArchiveLimits(
            file_bytes_max=settings.file_bytes_max, base_interval=settings.base_interval
        ),
        observer=observer,
        heads=None if witness is None else HeadKeeper(witness, observer),
    )


class Pipeline:
    """Creates the services of one target.

    Args:
        history_source: Log and layout that the rows come from.
        target: Target that receives the rows.
        tools: Everything that the services of one process share.
        mapping: Rule that turns source rows into target rows.
        store: The target's store, if this process has read it before; None otherwise.
    """

    def __init__(
        self,
        history_source: HistorySource,
        target: ConfiguredTarget,
        tools: Tools,
        *,
        mapping: RowMapping,
        store: Store | None = None,
    ) -> None:
        self._store = store_of(target) if store is None else store
        self._history_source, self._configured, self._tools = history_source, target, tools
        self._settings, self._mapping = target.settings, mapping
        observer = tools.observer(target.name)
        self.target = Target(
            name=target.name,
            source=history_source.source,
            metadata=target.metadata,
            storage=target.storage,
            area=target.area(),
            history=history_of(history_source, tools, observer),
            clock=tools.clock,
            observer=observer,
        )
        self._rates = RateBook(self.target.area, observer)

    def applier(self, bytes_from: DeepStorageReader, allowed: Allowed) -> Applier:
        """Return the applier that follows the log, with the source's bytes."""
        settings = self._settings
        return Applier(
            self.target,
            reconciler=self.reconciler(),
            copier=self._copier(bytes_from),
            executor=self.executor(),
            archivist=self.archivist(),
            guard=self.guard(self._configured),
            options=ApplyOptions(
                interval=self._interval(settings.apply_interval_s, alone=allowed.alone),
                objects_missing_max=settings.objects_missing_max,
                kill_wait=timedelta(seconds=settings.kill_wait_s),
                gap_retry_interval=settings.gap_retry_interval,
                delay=settings.delay,
                resume=allowed.resume,
                adopt=allowed.adopt,
                new_log=allowed.new_log,
            ),
        )

    def restorer(self, bytes_from: BytesFrom, *, of: ConfiguredTarget | None = None) -> Restorer:
        """Return the restorer of the target, with bytes of the source or of another target.

        Args:
            bytes_from: Storage that bytes are copied from.
            of: Target that this storage belongs to; None for the source.
        """
        return self._restorer(self._copier(bytes_from), self._leases(of or self._configured))

    def restorer_by_reference(
        self, backup: Backup, *, of: ConfiguredTarget, keep: Keep
    ) -> Restorer:
        """Return the restorer of the target's rows to a cut whose bytes stay in the backup.

        Args:
            backup: Backup that keeps the bytes.
            of: Target that the backup belongs to.
            keep: Keeps the bytes in the backup from then on.
        """
        beside = replace(self.target, storage=backup.storage)
        return Restorer(
            self.target,
            reconciler=self.reconciler(),
            copier=self._copier(backup, into=beside),
            executor=self.executor(),
            archivist=None,
            guard=self.guard(of),
            leases=self._leases(of, keep=keep),
            by_reference=True,
        )

    def restorer_in_place(self, backup: Backup) -> Restorer:
        """Return the restorer of the target to a cut in its own store, of whichever log.

        All bytes are at their locations already; those with a receipt count, and nothing is copied.
        """
        leases = self._leases(self._configured)
        return self._restorer(self._copier(backup), leases, by_reference=True)

    def _restorer(
        self, copier: Copier, leases: RestoreLeases, *, by_reference: bool = False
    ) -> Restorer:
        """Return the restorer of a target that keeps its own bytes and history."""
        return Restorer(
            self.target,
            reconciler=self.reconciler(),
            copier=copier,
            executor=self.executor(),
            archivist=self.archivist(),
            guard=self.guard(self._configured),
            leases=leases,
            by_reference=by_reference,
        )

    def estimator(
        self, bytes_from: BytesFrom, route: CopyRoute, *, stays: bool = False
    ) -> Estimator:
        """Return the estimator of a restore's cost, with bytes as for `restorer`.

        With `stays` the bytes are used at their present location.
        """
        target = self.target
        if stays and isinstance(bytes_from, Backup):
            target = replace(target, storage=bytes_from.storage)
        return Estimator(
            target,
            bytes_from=bytes_from,
            mapping=self._mapping,
            route=route,
            rates=self._rates,
            looks_in_flight_max=self._settings.looks_in_flight_max,
        )

    def renamer(self, bytes_from: BytesFrom, *, of: ConfiguredTarget | None = None) -> Renamer:
        """Return the service that restores under another name, with bytes as for `restorer`.

        Raises:
            ConfigError: the target is an archive, which has no rows.
        """
        if self._settings.metadata is None:
            raise ConfigError(f"target {self.target.name!r} is an archive: it has no rows")
        return Renamer(
            self.target,
            reconciler=self.reconciler(),
            copier=self._copier(bytes_from),
            executor=self.executor(),
            mapping=self._mapping,
            guard=self.guard(self._configured),
            leases=self._leases(of or self._configured),
        )

    def verifier(self) -> Verifier:
        """Return the target's verifier."""
        return Verifier(
            self.target,
            reconciler=self.reconciler(),
            mapping=self._mapping,
            has_rows=self._settings.metadata is not None,
            rng=self._tools.rng,
        )

    def repairer(self, bytes_from: BytesFrom) -> Repairer:
        """Return the service that repairs the target, with bytes as for `restorer`."""
        backup = bytes_from if isinstance(bytes_from, Backup) else None
        reader = bytes_from.storage if isinstance(bytes_from, Backup) else bytes_from
        return Repairer(
            self.target,
            replacer=self._configured.storage,
            source=RepairSource(reader, backup),
            verifier=self.verifier(),
            copier=self._copier(bytes_from),
            executor=self.executor(),
            leases=self._leases(self._configured),
            retry=self.retry(),
        )

    def gap_healer(self, bytes_from: BytesFrom) -> GapHealer:
        """Return the service that tries the target's gaps again, with bytes as for `restorer`."""
        return GapHealer(
            self.target,
            copier=self._copier(bytes_from),
            executor=self.executor(),
            archivist=self.archivist(),
            guard=self.guard(self._configured),
        )

    def archivist(self) -> Archivist:
        """Return the service that writes the target's own history."""
        return archivist(
            self._settings.history,
            self._history_source,
            store=self._store,
            rows=RowForm(layout=self._mapping.target, control=self._mapping.control_form),
            history=self.target.history,
            observer=self.target.observer,
            witness=self._configured.witness,
        )

    def base_writer(self, *, interval_s: float = BASE_LOOK_S) -> BaseWriter:
        """Return the service that writes the target's bases when they are due."""
        return BaseWriter(
            self.target, archivist=self.archivist(), interval=self._interval(interval_s)
        )

    def history_merger(
        self, *, interval_s: float = MERGE_LOOK_S, stay_s: float = MERGED_STAY_S
    ) -> HistoryMerger:
        """Return the service that merges small files of the target's history."""
        return HistoryMerger(
            self.target,
            merger=self._merger(stay_s) if merges(self._configured) else None,
            interval=self._interval(interval_s),
        )

    def _interval(self, seconds: float, *, alone: bool = False) -> LookInterval:
        return interval(self._settings, self._tools, seconds, alone=alone)

    def _merger(self, stay_s: float) -> Merger:
        history = self._settings.history
        limits = MergeLimits(
            files=history.merge_files, bytes_max=history.file_bytes_max, stay_s=stay_s
        )
        return Merger(self._store, limits=limits, observer=self.target.observer)

    def reconciler(self) -> Reconciler:
        """Return the service that compares the target with cuts."""
        lost_max = self._settings.rows_lost_max
        return Reconciler(self.target, mapping=self._mapping, rows_lost_max=lost_max)

    def retry(self) -> Retry:
        """Return the retry policy of the target's requests, and how many run at once."""
        settings = self._settings
        return Retry(
            settings.retry.policy,
            in_flight_max=settings.copies_in_flight_max,
            rng=self._tools.rng,
            observer=self.target.observer,
        )

    def locator(self) -> TargetLocator:
        """Return the rule that finds where the target keeps what a record references."""
        return TargetLocator(source=self._history_source.layout, target=self._mapping.target)

    def guard(self, of: ConfiguredTarget) -> ExpiryGuard:
        """Return the guard against expiries in the store that holds the target's bytes."""
        intents = Intents(
            of.area(),
            clock=self._tools.clock,
            clock_skew_max=of.settings.expiry.clock_skew_max,
        )
        return ExpiryGuard(intents=intents, history=self.target.history, locator=self.locator())

    def _leases(self, of: ConfiguredTarget, *, keep: Keep | None = None) -> RestoreLeases:
        """Return the leases of a restore; `of` is the target whose bytes are used."""
        stores = {of.name: of, self.target.name: self._configured}
        lease = of.settings.expiry.restore_lease
        return RestoreLeases(
            areas={name: store.area() for name, store in stores.items()},
            points=store_points(of, self._tools.clock),
            clock=self._tools.clock,
            limits=LeaseLimits(lease=lease, renewal=lease / RENEWALS_PER_LEASE),
            rng=self._tools.rng,
            keep=keep,
        )

    def _copier(self, bytes_from: BytesFrom, *, into: Target | None = None) -> Copier:
        return Copier(
            self._in_batches(into or self.target),
            bytes_from=bytes_from,
            mapping=self._mapping,
            retry=self.retry(),
            rates=self._rates,
        )

    def executor(self) -> Executor:
        """Return the service that writes the target's rows."""
        return Executor(
            self._in_batches(self.target),
            mapping=self._mapping,
            unfit_max=self._settings.rows_unfit_max,
            rates=self._rates,
        )

    def _in_batches(self, target: Target) -> Target:
        """Return the target with a history that reads as many rows at once as may be in memory."""
        rows_max = self._settings.rows_per_batch_max
        tools = replace(self._tools, records_per_read_max=rows_max)
        return replace(target, history=history_of(self._history_source, tools, target.observer))


async def open_pipeline(
    history_source: HistorySource,
    target: ConfiguredTarget,
    tools: Tools,
    *,
    elsewhere: Layout | None = None,
    store: Store | None = None,
) -> Pipeline:
    """Return the services of a target, whose tables are read; arguments as for `Pipeline`.

    `elsewhere` as for `mapping`.
    """
    rule = await mapping(history_source, target, elsewhere=elsewhere)
    return Pipeline(history_source, target, tools, mapping=rule, store=store)


def interval(
    settings: TargetSettings, tools: Tools, seconds: float, *, alone: bool = False
) -> LookInterval:
    """Return how often a service of a target looks for work, and when it tries again.

    `alone` says that its process does nothing else.
    """
    return LookInterval(
        seconds=seconds,
        retry=settings.retry.policy,
        halted_retry_s=settings.halted_retry_s,
        rng=tools.rng,
        tolerance=OF_A_TARGET_ALONE if alone else OF_A_TARGET,
    )


def merges(target: ConfiguredTarget) -> bool:
    """Return whether small files of a target's history are merged.

    Where objects are locked the small files stay as long as the window, so merging would add bytes.
    A machine that reads unsigned files must not sign their contents, and one without a key
    would write what others refuse.
    """
    settings, storage = target.settings, target.settings.deep_storage
    if settings.history.merge_files < FILES_MIN:
        return False
    if isinstance(storage, S3StorageSettings) and storage.object_lock is not None:
        return False
    signing = settings.signing
    return signing is None or (
        (signing.key_env is not None or signing.key_file is not None)
        and signing.unsigned == "refuse"
    )


def load_rules(settings: TargetSettings) -> LoadRules:
    """Return how the source's load rules become a target's."""
    return LoadRules(with_drops=settings.load_rules.with_drops, tiers=settings.load_rules.tiers)
