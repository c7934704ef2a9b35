"""A target's store with the history that it keeps: enough to restore from, alone."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from replicator.app.wiring.histories import HistorySource
from replicator.app.wiring.storages import layout
from replicator.app.wiring.target import ConfiguredTarget, store_of
from replicator.errors import ConfigError, NotFoundError
from replicator.model.load_spec import Layout
from replicator.model.observation import Observer
from replicator.model.store.archive_notes import About
from replicator.model.store.testimony import Attested, Testimony
from replicator.ports import Clock, Workers
from replicator.services.history.reader import History
from replicator.services.store.archived_log import ArchivedLog, abouts
from replicator.services.store.points import StorePoints
from replicator.services.store.store import Store
from replicator.services.store.windows import Windows, newest, windows
from replicator.services.target.copier import Backup


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenStore:
    """One history in a target's store, opened."""

    target: ConfiguredTarget
    store: Store
    about: About
    windows: Windows
    archive: ArchivedLog
    history: History
    testimony: Testimony | None = None
    """The witness's testimony about its newest cuts; None: the target has no witness."""

    def require_newest(self) -> None:
        """Refuse a store without proof that it has its newest cuts.

        A target without a witness, or one that the operator left out, is refused nothing.

        Raises:
            CorruptionError: the witness remembers a later cut than the store has, or was altered.
            TransientError, ConfigError: the witness is unreachable.
            NotFoundError: the witness remembers nothing of this history.
        """
        testimony = self.testimony
        if testimony is not None and testimony.verdict in {Attested.LOST, Attested.UNKNOWN}:
            raise testimony.refusal()

    @property
    def history_source(self) -> HistorySource:
        """Where rows come from that are restored from it."""
        return HistorySource(
            source=self.about.source,
            layout=self.about.source_layout,
            log=self.archive,
            bases=self.archive,
        )

    def backup(self, elsewhere: Layout | None = None) -> Backup:
        """Return it as what bytes come from; `elsewhere`: as it is configured now."""
        return Backup(
            layout=elsewhere or self.about.target_layout,
            storage=self.target.storage,
            gaps=self.windows.gaps,
        )


async def open_store(
    target: ConfiguredTarget,
    log_id: str | None,
    *,
    without_witness: bool = False,
    workers: Workers,
    clock: Clock,
    observer: Observer,
) -> OpenStore:
    """Open a history in a target's store: of a given log, or the one that reaches furthest.

    With `without_witness` its witness is not consulted.

    Raises:
        NotFoundError: there is none.
        ConfigError: the store is of another type than the one that it was written to.
    """
    files = store_of(target)
    readable, faults = await abouts(files.area)
    abouts_by_log = {about.log_id: about for about in readable}
    if faults and (not abouts_by_log or (log_id is not None and log_id not in abouts_by_log)):
        raise faults[0]
    if log_id is not None and log_id not in abouts_by_log:
        known = ", ".join(sorted(abouts_by_log)) or "none"
        raise NotFoundError(
            f"target {target.name!r} keeps no history of log {log_id}, but of {known}"
        )
    wanted = [log_id] if log_id is not None else sorted(abouts_by_log)
    points = StorePoints(files, clock=clock)
    found = newest([await windows(files, one, points) for one in wanted])
    if found is None:
        raise NotFoundError(
            f"target {target.name!r} keeps no history in its store",
            hint="is its deep_storage the right one? What `replicator apply TARGET` has filled"
            " keeps one",
        )
    about, configured = abouts_by_log[found.log_id], layout(target.settings.deep_storage)
    if type(about.target_layout) is not type(configured):
        raise ConfigError(
            f"the store of target {target.name!r} was written as {about.target_layout}, and is"
            f" configured as {configured}: segments have other names there"
        )
    archive = ArchivedLog(files, found.log_id)
    await archive.pass_over_altered_end()
    history = History(
        archive, source=about.source, workers=workers, bases=archive, observer=observer
    )
    testimony = await _testimony(target, found, abouts_by_log, without_witness=without_witness)
    faults_found = [*found.faults, *map(str, faults)]
    if testimony is not None and testimony.is_fault:
        faults_found.append(testimony.text)
    return OpenStore(
        target=target,
        store=files,
        about=about,
        windows=replace(found, faults=tuple(faults_found)),
        testimony=testimony,
        archive=archive,
        history=history,
    )


async def _testimony(
    target: ConfiguredTarget, found: Windows, logs: Collection[str], *, without_witness: bool
) -> Testimony | None:
    if (witness := target.witness) is None:
        return None
    if without_witness:
        return witness.not_asked()
    return await witness.testimony(found.log_id, found.windows[-1].last.offset, logs)
