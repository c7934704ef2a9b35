"""Compares a target with one cut and plans the difference: for restore, seeding and proof alike."""

import shlex
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from replicator.errors import (
    CorruptionError,
    GapError,
    LogCutShortError,
    NotFoundError,
    RefusedError,
)
from replicator.model.checkpoint import (
    PLACE_REFUSED,
    REMEDIES,
    Checkpoint,
    Gap,
    changed_rows,
)
from replicator.model.document import natural
from replicator.model.event import ClosedCut, Offset
from replicator.model.fingerprint import DIGEST_MODULUS, EMPTY_DIGEST, Digest, hex_digest, key_hash
from replicator.model.inventory.comparison import Comparison
from replicator.model.inventory.ledger import KEY, Keys, Ledger, Mask, Offsets, total
from replicator.model.log.effects import EffectShares
from replicator.model.log.folded_rows import FoldedRows
from replicator.model.log.reading import Mapped, Scope
from replicator.model.log.row_mapping import RowMapping
from replicator.model.log.tally import Tally
from replicator.model.observation import Progress
from replicator.model.plans.plan import Estimate, Plan
from replicator.model.plans.restore_point import ToOffset
from replicator.model.row import (
    DEFAULT_RULES,
    ConfigEntry,
    Kind,
    RowKey,
    Segment,
    Supervisor,
    key_of,
)
from replicator.ports import Chunk, Snapshot, Span, fetched
from replicator.services.history.cuts import fold_and_tell
from replicator.services.history.datasources import ingests_into, nearest
from replicator.services.target.copier import Uncopied
from replicator.services.target.target import Target

DEFAULT_RULES_KEY = RowKey(Kind.RULES, DEFAULT_RULES)
"""Druid writes this row itself when a Coordinator starts (SQLMetadataRuleManager)."""
LOST_SHOWN_MAX = 3
_NEWEST_COPY = (
    "restore the newest copy of the log; if there is none, move the log away, so that the watcher"
    " creates a new one, and follow that with --new-log; nothing was changed"
)
ROWS_PER_READ = 500
"""Rows, with their contents, that are read at once."""
DATA_KINDS = (Kind.SEGMENT, Kind.COMMIT)
"""Kinds whose rows are data; an idle Druid fills the other tables itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The difference between a target and a cut."""

    plan: Plan
    wanted: Ledger
    """Rows that the target must have, with the fingerprints that a scan of it must show."""
    known_gaps: tuple[Gap, ...]
    """Gaps that the target has recorded for this cut."""
    present: Digest = EMPTY_DIGEST
    """Digest of the data rows that a scan of the target has shown."""
    reached: ClosedCut | None = None
    """The cut that the log leads to there: not the requested one if the log is forked."""
    taken_over: Offsets = field(default_factory=lambda: np.empty(0, np.int64))
    """Offsets of wanted rows that a target which is taken over has already, whatever is in them."""


class Differing(Protocol):
    """Receives the segments of a target whose rows differ from a cut, as they are now."""

    def surplus(self, row: Segment) -> None:
        """Take one that the cut does not have."""
        ...

    def stale(self, row: Segment) -> None:
        """Take one that has other contents in the cut."""
        ...


class Reconciler:
    """Compares a cut of the log with a scan of the target."""

    def __init__(self, target: Target, *, mapping: RowMapping, rows_lost_max: int = 0) -> None:
        """Compare `target` by `mapping`; a takeover may remove `rows_lost_max` of the rows."""
        self._target, self._history, self._observer = target, target.history, target.observer
        self._mapping = mapping
        self._has_segments, self._rows_lost_max = False, rows_lost_max

    async def reconcile(
        self,
        cut: ClosedCut,
        *,
        paused: bool,
        datasource: str | None = None,
        without_gaps: bool = False,
        whole: bool = False,
        differing: Differing | None = None,
        rows: FoldedRows | None = None,
    ) -> Reconciliation:
        """Return the plan that makes the target's rows exactly those of the cut.

        With `datasource` only its rows are compared. With `without_gaps` rows with a known gap are
        not wanted; otherwise the plan tries them again. With `whole` all rows are picked, also
        those that are there: their bytes are to be looked at. `differing` costs a read of each
        segment that differs, from the target. `rows` are for `sized`, and worth it if most rows
        will be picked.
        """
        log_id = await self._target.log_id()
        recorded = await self._target.gaps(log_id)
        gaps = [gap for gap in recorded if gap.at(cut.offset)]
        scope = await self._scope(datasource, cut)
        excluded = frozenset(gap.opened for gap in gaps) if without_gaps else frozenset[Offset]()
        ledger, reached = await self._wanted(cut, scope, excluded, rows)
        comparison = Comparison(ledger)
        seen = _Scanned()
        async with self._target.metadata.snapshot() as snapshot:
            apart = await self._apart(snapshot)
            surplus = {
                kind: without_keys(
                    await self._scan(snapshot, kind, comparison, scope, seen),
                    apart[kind],
                )
                for kind in sorted(snapshot.kinds, key=lambda kind: kind.value)
            }
            if differing is not None:
                await self._tell(snapshot, seen, differing)
        lacking = np.sort(ledger.offsets) if whole else comparison.lacking()
        plan = Plan(
            picks=_with_gaps(lacking, ledger, gaps),
            surplus={kind: keys for kind, keys in surplus.items() if len(keys)},
            checkpoint=checkpoint_at(
                cut, self._target.source, log_id, paused=paused, datasource=datasource
            ),
            gaps=() if datasource or without_gaps else _passed(gaps, ledger, cut),
        )
        return Reconciliation(
            plan=plan,
            wanted=ledger,
            known_gaps=tuple(gaps),
            present=Digest(seen.marks % DIGEST_MODULUS),
            reached=reached,
            taken_over=np.setdiff1d(ledger.offsets, comparison.unseen(), assume_unique=True)
            if whole
            else np.empty(0, np.int64),
        )

    def refuse_lost(self, found: Reconciliation, uncopied: Sequence[Uncopied]) -> None:
        """Refuse to take rows away from a target that is taken over, although the source has them.

        A place that is refused holds something: perhaps the very bytes. Its row is never removed.

        Raises:
            RefusedError: there are rows of a refused place, or more than `rows_lost_max`.
        """
        lost_offsets = np.intersect1d([row.offset for row in uncopied], found.taken_over)
        lost = [row for row in uncopied if row.offset in lost_offsets]
        refused = [row for row in lost if row.reason == PLACE_REFUSED]
        if not refused and len(lost) <= self._rows_lost_max:
            return
        rows = refused or lost
        named = "; ".join(f"{row.words}: {row.detail}" for row in rows[:LOST_SHOWN_MAX])
        more = f"; and {len(rows) - LOST_SHOWN_MAX} more" if len(rows) > LOST_SHOWN_MAX else ""
        raise RefusedError(
            f"target {self._target.name!r} would lose {len(lost)} of {len(found.taken_over)} rows"
            f" that the source has, since their bytes cannot be had ({named}{more}); no row was"
            " changed",
            hint="mend what is named for each, and run the command again"
            if refused
            else f"mend what is named for each; or raise `rows_lost_max` to {len(lost)}, so that"
            " these rows are removed and become gaps",
        )

    async def require_known(self, found: Reconciliation, cut: ClosedCut, datasource: str) -> None:
        """Refuse a datasource without rows in the cut and on the target.

        Raises:
            NotFoundError: there is no such datasource; the hint names similar ones.
        """
        has_gap = any(gap.datasource == datasource for gap in found.known_gaps)
        if has_gap or found.plan.surplus or len(found.wanted):
            return
        if datasource in {one.datasource for one in await self._target.renamed()}:
            raise NotFoundError(
                f"datasource {datasource!r} of target {self._target.name!r} was restored under that"
                " name and is in no cut; nothing was changed",
                hint=f"`replicator restore {self._target.name} --forget-renamed"
                f" {shlex.quote(datasource)}` removes it",
            )
        raise NotFoundError(
            f"neither cut {cut.closed.cut} nor target {self._target.name!r} has a datasource"
            f" {datasource!r};"
            " nothing was changed",
            hint=await nearest(self._history, datasource),
        )

    async def doubted(self, reached: Checkpoint | None) -> frozenset[RowKey]:
        """Return the rows whose bytes on the target differed from the source's once.

        The gaps of the log that the target has followed say so, also those that are closed: another
        row may share the bytes of a row that is gone.
        """
        if reached is None:
            return frozenset()
        return changed_rows(await self._target.gaps(reached.log_id))

    async def estimate(
        self,
        reconciliation: Reconciliation,
        *,
        used_before: "Keys | None" = None,
        rows: FoldedRows | None = None,
    ) -> tuple[Estimate, EffectShares]:
        """Return a plan's size in segments, rows, objects and bytes, and what `sized` does."""
        plan = reconciliation.plan
        estimate, shares = await self.sized(plan.picks, used_before=used_before, rows=rows)
        removals = sum(len(keys) for keys in plan.surplus.values())
        missing = reconciliation.known_gaps
        return replace(estimate, removals=removals, missing=missing), shares

    async def sized(
        self,
        picks: Offsets,
        *,
        used_before: "Keys | None" = None,
        rows: FoldedRows | None = None,
    ) -> tuple[Estimate, EffectShares]:
        """Return the size of the rows at some offsets, and what becomes of used segments.

        `used_before` are the ascending key hashes of the rows that are used segments now.
        `rows` are those of the fold that has led to the picks: they are not read again.
        """
        counts, shares = Counter[str | None](), EffectShares()
        segments = objects = size_bytes = 0
        known = None if used_before is not None and len(used_before) else rows
        async for found in self._tallies(picks, known, used_before):
            counts += found.by_datasource
            shares.take(found.shares)
            segments += found.segments
            objects += found.objects
            size_bytes += found.size_bytes
            done = counts.total()
            self._observer(Progress(what="size the plan", done=done, total=len(picks), unit="rows"))
        estimate = Estimate(
            segments=segments,
            other_rows=counts.total() - segments,
            objects=objects,
            size_bytes=natural(size_bytes),
            by_datasource={name or "(cluster)": count for name, count in counts.items()},
        )
        return estimate, shares

    async def _tallies(
        self, picks: Offsets, known: FoldedRows | None, used_before: "Keys | None"
    ) -> AsyncIterator[Tally]:
        if known is not None:
            picks, tallies = known.tallies(picks)
            for tally in tallies:
                yield tally
        async for found in self._history.tallies(picks, used_before=used_before):
            yield found

    async def foreign_rows(self) -> int:
        """Return the number of data rows on a target without a checkpoint."""
        async with self._target.metadata.snapshot() as snapshot:
            apart = await self._apart(snapshot)
            found = [
                without_keys(await scanned(snapshot, kind), apart[kind])
                for kind in DATA_KINDS
                if kind in snapshot.kinds
            ]
        return sum(map(len, found))

    async def has_segments(self) -> bool:
        """Return whether the target has a segment row; used when no segment can be located."""
        if not self._has_segments:
            async with self._target.metadata.snapshot() as snapshot:
                self._has_segments = len(await scanned(snapshot, Kind.SEGMENT)) > 0
        return self._has_segments

    async def _apart(self, snapshot: Snapshot) -> Mapping[Kind, Keys]:
        """Return the keys of rows that are in no log: those of renamed datasources."""
        names = [one.datasource for one in await self._target.renamed()]
        if not names:
            return dict.fromkeys(snapshot.kinds, np.empty(0, KEY))
        return {kind: await scanned(snapshot, kind, datasources=names) for kind in snapshot.kinds}

    async def _wanted(
        self, cut: ClosedCut, scope: Scope, excluded: frozenset[Offset], rows: FoldedRows | None
    ) -> tuple[Ledger, ClosedCut | None]:
        """Fold the log into the rows that the target must have, and the cut that it leads to."""

        def seen(events: int) -> None:
            self._observer(Progress(what="read the log", done=events, total=None, unit="events"))

        rule = Mapped(mapping=self._mapping, scope=scope, excluded=excluded)
        return await fold_and_tell(self._history, cut.offset, rule, seen=seen, rows=rows)

    async def _scan(
        self,
        snapshot: Snapshot,
        kind: Kind,
        comparison: Comparison,
        scope: Scope,
        seen: "_Scanned",
    ) -> Keys:
        surplus: list[Keys] = []
        handles: list[NDArray[Any]] = []

        def visit(chunk: Chunk) -> None:
            if kind in DATA_KINDS:
                seen.marks += total(chunk.marks)
            unknown, stale = comparison.see(chunk.keys, chunk.marks)
            if kind is Kind.SEGMENT:
                seen.differ(chunk, unknown, stale)
            if unknown.any():
                surplus.append(chunk.keys[unknown])
                if kind is Kind.CONFIG:
                    handles.append(chunk.handles[unknown])

        await snapshot.scan(kind, visit, datasources=scope.names(kind))
        keys: Keys = np.concatenate([np.empty(0, KEY), *surplus])
        return await self._removable(snapshot, kind, keys, handles)

    async def _tell(self, snapshot: Snapshot, seen: "_Scanned", differing: Differing) -> None:
        """Read the segments that differ, and tell of them; those of renamed datasources stay."""
        stay = {one.datasource for one in await self._target.renamed()}
        for handles, report in (
            (seen.unknown, differing.surplus),
            (seen.stale, differing.stale),
        ):
            for some in handles:
                for begin in range(0, len(some), ROWS_PER_READ):
                    read = some[begin : begin + ROWS_PER_READ]
                    async for rows in fetched(snapshot, Kind.SEGMENT, read):
                        for row in rows:
                            if isinstance(row, Segment) and row.datasource not in stay:
                                report(row)

    async def _removable(
        self, snapshot: Snapshot, kind: Kind, keys: Keys, handles: Sequence[NDArray[Any]]
    ) -> Keys:
        """Exclude the target's own rows: config that is not replicated, and default rules."""
        if kind is Kind.CONFIG:
            mapped = [
                key_hash(key_of(row))
                for some in handles
                async for rows in fetched(snapshot, kind, some)
                for row in rows
                if isinstance(row, ConfigEntry) and self._mapping.replicates(row.name)
            ]
            return np.array(mapped, KEY)
        if kind is Kind.RULES:
            # A Coordinator writes this row anew at each start: to remove it would leave a
            # difference for ever.
            keys = keys[keys != np.array(key_hash(DEFAULT_RULES_KEY), KEY)]
        return keys

    async def _scope(self, datasource: str | None, cut: ClosedCut) -> Scope:
        if datasource is None:
            return Scope()
        supervisors: dict[str, str | None] = {}
        async for row in self._history.rows(Kind.SUPERVISOR, cut.offset):
            if isinstance(row, Supervisor):
                # Since Druid 34 a supervisor has an id of its own, which need not be its
                # datasource's name.
                supervisors[row.spec_id] = ingests_into(row)
        ids = frozenset(id_ for id_, name in supervisors.items() if name == datasource)
        return Scope(datasource=datasource, supervisors=ids)


class _Scanned:
    """What a scan has seen: the sum of data rows, and where the segments are that differ."""

    def __init__(self) -> None:
        self.marks = 0
        self.unknown: list[NDArray[Any]] = []
        self.stale: list[NDArray[Any]] = []

    def differ(self, chunk: Chunk, unknown: Mask, stale: Mask) -> None:
        if unknown.any():
            self.unknown.append(chunk.handles[unknown])
        if stale.any():
            self.stale.append(chunk.handles[stale])


async def scanned(
    snapshot: Snapshot, kind: Kind, *, datasources: Sequence[str] | None = None
) -> Keys:
    """Return the keys of all rows of a kind, or of those of some datasources."""
    found: list[Keys] = [np.empty(0, KEY)]

    def visit(chunk: Chunk) -> None:
        found.append(chunk.keys)

    await snapshot.scan(kind, visit, datasources=datasources)
    return np.concatenate(found)


def without_keys(some: Keys, others: Keys) -> Keys:
    """Return the keys that are not among the others."""
    left: Keys = some[~np.isin(some, others)]
    return left


def refuse_foreign_rows(found: int, target: str) -> None:
    """Refuse to write to a target with rows that this tool did not write.

    Raises:
        RefusedError: there is at least one such row.
    """
    if found:
        raise RefusedError(
            f"target {target!r} already holds {found} rows that this tool did not write",
            hint="use an empty metadata store; or `--adopt`, which makes the rows exactly those of"
            " the source: rows that the source does not have are deleted, their bytes stay",
        )


def refuse_promoted(checkpoint: Checkpoint | None, target: str) -> None:
    """Refuse to write to a target that was promoted.

    Raises:
        RefusedError: the target was promoted.
    """
    if checkpoint is not None and checkpoint.promoted:
        raise RefusedError(
            f"target {target!r} was promoted at cut {checkpoint.cut} and is a cluster of its own",
            hint="to protect it, make it the `source` of a configuration; to follow the old source"
            " again, start from an empty metadata store",
        )


def refuse_other_log(checkpoint: Checkpoint, log_id: str, target: str) -> None:
    """Refuse to compare a target with a log that it does not follow: offsets differ.

    Raises:
        CorruptionError: the target follows another log.
    """
    if checkpoint.log_id != log_id:
        over = (
            f"`replicator apply {target} --resume --new-log`"
            if checkpoint.paused
            else f"`replicator apply {target} --new-log`"
        )
        raise CorruptionError(
            f"target {target!r} follows log {checkpoint.log_id}, the configured log is {log_id}",
            hint="configure the log that this target was filled from; if that log is lost,"
            f" {over} changes to this one",
        )


def refuse_cut_short(checkpoint: Checkpoint, span: Span, target: str) -> None:
    """Refuse a log that ends before the cut that a target has of it.

    Raises:
        LogCutShortError: it has lost records that were applied already.
    """
    if checkpoint.offset >= span.end:
        raise LogCutShortError(
            f"target {target!r} is at offset {checkpoint.offset}, but the log ends at {span.end}:"
            " the log has lost records that were already applied",
            hint=f"{_NEWEST_COPY}. If the log was not put back and that target is wrong,"
            f" `replicator apply {target} --adopt` discards its checkpoint",
        )


async def require_log_of(checkpoint: Checkpoint, target: Target) -> ClosedCut | None:
    """Refuse a log that is not the one that a target has its checkpoint from; return its cut.

    None: the log was trimmed beyond that cut, and the service that needs it says so.

    Raises:
        CorruptionError: the target follows another log, or this one was written on otherwise.
        LogCutShortError: the log ends before the checkpoint.
    """
    span = await target.history.span()
    refuse_other_log(checkpoint, span.log_id, target.name)
    refuse_cut_short(checkpoint, span, target.name)
    try:
        cut = await target.history.find(ToOffset(offset=checkpoint.offset))
    except GapError:
        return None
    refuse_forked(checkpoint, cut, target.name)
    return cut


async def require_compared(checkpoint: Checkpoint, found: Reconciliation, target: Target) -> None:
    """Refuse a comparison whose log has another cut than the target's.

    Raises:
        CorruptionError, LogCutShortError: as for `require_log_of`.
    """
    refuse_cut_short(checkpoint, await target.history.span(), target.name)
    if found.reached is not None:
        refuse_forked(checkpoint, found.reached, target.name)


def refuse_forked(checkpoint: Checkpoint, found: ClosedCut, target: str) -> None:
    """Refuse a log that has another cut where a target's checkpoint is.

    Args:
        checkpoint: Of the target.
        found: The newest cut that the log has up to there.
        target: Name of the target.

    Raises:
        CorruptionError: the log lost records, and was then written on.
    """
    closed = found.closed
    has = (found.offset, closed.cut, closed.digest)
    if has != (checkpoint.offset, checkpoint.cut, checkpoint.digest):
        raise CorruptionError(
            f"target {target!r} is at cut {checkpoint.cut}, closed at offset {checkpoint.offset}"
            f" with digest {hex_digest(checkpoint.digest)}, and the log has cut {closed.cut},"
            f" closed at offset {found.offset} with digest {hex_digest(closed.digest)}, there: it"
            " was put back to an older copy, and written on",
            hint=_NEWEST_COPY,
        )


def checkpoint_at(
    cut: ClosedCut, source: str, log_id: str, *, paused: bool, datasource: str | None = None
) -> Checkpoint:
    """Return the checkpoint of a target at this cut."""
    return Checkpoint(
        source=source,
        log_id=log_id,
        offset=cut.offset,
        cut=cut.closed.cut,
        source_time=cut.closed.source_time,
        digest=cut.closed.digest,
        paused=paused,
        datasource=datasource,
    )


def without(plan: Plan, uncopied: Sequence[Uncopied], known: Sequence[Gap] = ()) -> Plan:
    """Return the plan without the rows that could not be copied; they become gaps.

    A known gap whose bytes could be copied after all is closed at the offset where it opened.
    """
    missing = {row.offset for row in uncopied}
    picked = set(plan.picks[np.isin(plan.picks, [gap.opened for gap in known])].tolist())
    healed = [
        replace(gap, closed=gap.opened)
        for gap in known
        if gap.opened in picked and gap.opened not in missing
    ]
    opened = [gap_of(row) for row in uncopied if row.offset not in {gap.opened for gap in known}]
    return replace(plan, without=frozenset(missing), gaps=(*plan.gaps, *healed, *opened))


def gap_of(row: Uncopied, *, closed: Offset | None = None) -> Gap:
    """Return the gap that a row leaves in a target."""
    return Gap(
        kind=row.key.kind,
        key=row.key.key,
        datasource=row.datasource,
        reason=row.reason,
        detail=f"{row.detail}; {remedy}" if (remedy := REMEDIES.get(row.reason)) else row.detail,
        opened=row.offset,
        closed=closed,
    )


def _with_gaps(picks: Offsets, ledger: Ledger, gaps: Sequence[Gap]) -> Offsets:
    """Add the wanted rows with a gap: they are tried again, or deleted if the target has them.

    After a restore to an earlier cut such a row can look right although its location holds the
    bytes of another segment that was published there once.
    """
    if not gaps:
        return picks
    opened = np.array([gap.opened for gap in gaps], np.int64)
    return np.union1d(picks, ledger.offsets[np.isin(ledger.offsets, opened)])


def _passed(gaps: Sequence[Gap], ledger: Ledger, cut: ClosedCut) -> tuple[Gap, ...]:
    """Close the gaps whose rows the cut does not have any more.

    A gap that was closed later, by a target that jumped over this cut, is closed here instead.
    """
    current = set(ledger.offsets[np.isin(ledger.offsets, [gap.opened for gap in gaps])].tolist())
    return tuple(replace(gap, closed=cut.offset) for gap in gaps if gap.opened not in current)
