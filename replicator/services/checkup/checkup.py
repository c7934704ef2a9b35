"""Tries everything that the services will need with a real round trip, before anything runs."""

from replicator.errors import NotFoundError, ReplicatorError
from replicator.model.checkpoint import Checkpoint, TargetState
from replicator.model.inventory.ledger import empty
from replicator.model.load_spec import Layout
from replicator.model.operations.words import counted
from replicator.model.row import Kind
from replicator.ports import (
    Area,
    CheckableLog,
    CheckableMetadata,
    Clock,
    DeepStorage,
    DeepStorageReader,
    NewChangeStream,
    SourceReader,
)
from replicator.services.checkup.copy_trial import CopyTrial, Sample
from replicator.services.checkup.finding import Finding, failed
from replicator.services.checkup.known_rows import UnseenRows, known_rows
from replicator.services.checkup.left_out import OptionalRows, left_out, optional_rows
from replicator.services.checkup.stream_trial import try_stream
from replicator.services.checkup.trials import (
    effective,
    try_log,
    try_source_metadata,
    try_source_storage,
    try_target_storage,
)
from replicator.services.history.reader import History
from replicator.services.records.store_id import Reports, require_own_store


class Checkup:
    """Tries what the other services will need; changes nothing at the source."""

    def __init__(
        self,
        *,
        metadata: SourceReader,
        storage: DeepStorageReader,
        layout: Layout,
        log: CheckableLog,
        history: History,
        clock: Clock,
        stream: NewChangeStream | None = None,
        vanished_share_max: float,
    ) -> None:
        self._metadata = metadata
        self._storage = storage
        self._layout = layout
        self._log, self._history = log, history
        self._clock = clock
        self._stream = stream
        self._vanished_share_max = vanished_share_max
        self._known = empty()
        self._no_log: NotFoundError | None = None
        self._samples: list[Sample] = []
        self._optional: dict[Kind, OptionalRows] = {}

    async def source(self) -> list[Finding]:
        """Read every table in one snapshot, and one object of each load spec type.

        The rows are held against those that `log` has found, if it was called before.
        """
        known = UnseenRows(self._known, self._history, self._vanished_share_max)
        found = await try_source_metadata(self._metadata, self._clock, seen=known.see)
        if not found[0].good:
            return found
        try:
            found += await known.lacking()
            self._optional = await optional_rows(self._metadata)
        except ReplicatorError as exc:
            return [*found, failed("source metadata", exc)]
        if self._stream is not None:
            found += await try_stream(self._stream)
        return [
            *found,
            *await try_source_storage(
                self._metadata, self._storage, self._layout, self._samples.append
            ),
        ]

    async def log(self) -> list[Finding]:
        """Read the log, and look at what its writer needs, without becoming it."""
        if obstacles := await try_log(self._log):
            return obstacles
        try:
            span = await self._history.span()
            if cuts := await self._history.has_cuts(span):
                self._known = await known_rows(self._history)
        except NotFoundError as exc:
            self._no_log = exc
            return [Finding(what="log", good=True, detail="not there yet; the watcher makes it")]
        except ReplicatorError as exc:
            return [failed("log", exc)]
        detail = counted(span.end - span.first, "record") + ("" if cuts else ", no closed cut yet")
        return [Finding(what="log", good=True, detail=detail)]

    def followed(self, name: str, checkpoint: Checkpoint | None) -> list[Finding]:
        """Return a finding if a target follows a log and `log` has found none: it was not new."""
        if checkpoint is None or self._no_log is None:
            return []
        detail = f"it follows a log, and {self._no_log}"
        return [
            Finding(what=f"target {name} log", good=False, detail=detail, hint=self._no_log.hint)
        ]

    async def copies(self, trial: CopyTrial) -> list[Finding]:
        """Copy to a target by the real path, also the samples that `source` has read before."""
        return await trial.run(self._storage, self._samples)

    async def left_out(self, name: str, metadata: CheckableMetadata) -> list[Finding]:
        """Name what `source` has found in tables that a target lacks."""
        try:
            kinds = (await metadata.columns()).keys()
        except ReplicatorError as exc:
            return [failed(f"target {name} metadata", exc)]
        return [*left_out(f"target {name} metadata", self._optional, kinds)]


async def try_target(
    name: str,
    metadata: CheckableMetadata,
    storage: DeepStorage,
    area: Area,
    *,
    source: str | None,
    reports: Reports | None,
    has_rows: bool,
) -> list[Finding]:
    """Read a target's tables and checkpoint; write, read and delete a probe.

    `area` has the replicator's own files beside the bytes; `source` is the name of the source that
    the target follows, None if none is configured; `reports` remembers its store, if there is a
    log; `has_rows`: it is a cluster, not an archive.
    """
    where = f"target {name} deep storage"
    return [
        *await _target_metadata(name, metadata, area, source, reports, has_rows=has_rows),
        *await effective(where, storage),
        *await try_target_storage(where, storage),
    ]


async def _target_metadata(
    name: str,
    metadata: CheckableMetadata,
    area: Area,
    source: str | None,
    reports: Reports | None,
    *,
    has_rows: bool,
) -> list[Finding]:
    what = f"target {name} metadata" if has_rows else f"target {name} checkpoint"
    try:
        if not await metadata.is_made():
            return [_not_made(what, name)]
        columns = await metadata.columns()
        state = None if source is None else await metadata.state(source)
        if state is not None and reports is not None:
            await require_own_store(name, state, area, reports)
        obstacles = await metadata.obstacles()
    except ReplicatorError as exc:
        return [failed(what, exc)]
    tables = f"{len(columns)} of Druid's tables" if has_rows else "an archive"
    return [
        Finding(what=what, good=True, detail=f"{tables}{_at(state)}"),
        *(Finding(what=what, good=False, detail=one.what, hint=one.remedy) for one in obstacles),
    ]


def _at(state: TargetState | None) -> str:
    if state is None:
        return ""
    return f", at cut {state.checkpoint.cut}" if state.checkpoint else ", nothing applied yet"


def _not_made(what: str, name: str) -> Finding:
    return Finding(
        what=what,
        good=False,
        detail="Druid's tables are not there",
        hint=f"`replicator target create {name}` makes them; if they should be there, correct"
        f" targets.{name}.metadata",
    )
