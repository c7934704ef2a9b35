"""Restores a datasource under another name, beside the live one; replication continues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from replicator.errors import ConfigError, NotFoundError, RefusedError
from replicator.model.checkpoint import Gap
from replicator.model.event import ClosedCut, Epoch
from replicator.model.inventory.ledger import Keys, Offsets, empty
from replicator.model.log.reading import Mapped, Scope
from replicator.model.log.renaming import Renamed, ServedRows, is_datasource
from replicator.model.log.row_mapping import RowMapping
from replicator.model.operations.command_line import typed
from replicator.model.plans.plan import Estimate
from replicator.model.plans.restore_point import RestorePoint
from replicator.model.row import Kind
from replicator.services.history.cuts import fold
from replicator.services.history.datasources import nearest
from replicator.services.store.expiry_guard import ExpiryGuard
from replicator.services.store.restore_lease import RestoreLeases
from replicator.services.target.copier import Copier, Uncopied
from replicator.services.target.executor import Executor
from replicator.services.target.reconciler import (
    Reconciler,
    refuse_promoted,
    require_log_of,
    scanned,
    without_keys,
)
from replicator.services.target.recovery import not_whole, recover
from replicator.services.target.target import Target
from replicator.services.target.unfit_rows import UnfitRowsError


@dataclass(frozen=True, slots=True, kw_only=True)
class RenamePlan:
    """The rows that would be written under another name."""

    cut: ClosedCut
    renamed: Renamed
    picks: Offsets
    estimate: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetPlan:
    """The rows of a renamed datasource that would be deleted."""

    renamed: Renamed
    keys: Mapping[Kind, Keys]

    @property
    def rows(self) -> int:
        """Number of rows that would be deleted."""
        return sum(len(keys) for keys in self.keys.values())


class Renamer:
    """Writes rows that belong to no cut, under the applier's own epoch: no process is fenced."""

    def __init__(
        self,
        target: Target,
        *,
        reconciler: Reconciler,
        copier: Copier,
        executor: Executor,
        mapping: RowMapping,
        guard: ExpiryGuard,
        leases: RestoreLeases,
    ) -> None:
        self._target, self._history = target, target.history
        self._reconciler, self._copier, self._executor = reconciler, copier, executor
        self._mapping, self._guard, self._leases = mapping, guard, leases

    async def plan(self, point: RestorePoint, *, datasource: str, to: str) -> RenamePlan:
        """Return what would be done; nothing is changed.

        Raises:
            GapError: the log has no such cut.
            NotFoundError: the datasource had no used segment in that cut.
            RefusedError: the target has rows of the new name.
            ConfigError: Druid does not allow the new name.
        """
        if not is_datasource(to):
            raise ConfigError(f"{to!r} is no name of a datasource")
        refuse_promoted(await self._target.checkpoint(), self._target.name)
        await self._refuse_taken(to)
        cut = await self._history.find(point)
        await self._leases.refuse_expired(await self._target.log_id(), cut.offset)
        ledger = await fold(self._history, cut.offset, ServedRows(datasource=datasource))
        picks: Offsets = np.sort(ledger.offsets)
        estimate, _ = await self._reconciler.sized(picks)
        if not estimate.segments:
            raise NotFoundError(
                f"in cut {cut.closed.cut} no segment of a datasource {datasource!r} was used",
                hint=f"`replicator {typed('blame', datasource)}` says when it had some;"
                f" {await nearest(self._history, datasource)}",
            )
        renamed = Renamed(
            datasource=to,
            original=datasource,
            offset=cut.offset,
            cut=cut.closed.cut,
            source_time=cut.closed.source_time,
        )
        return RenamePlan(cut=cut, renamed=renamed, picks=picks, estimate=estimate)

    async def execute(self, plan: RenamePlan, *, accept_gaps: bool) -> tuple[Uncopied, ...]:
        """Carry out a plan; return the rows that the target could not get.

        Bytes that the target has are shared, others are copied first. A repeated call after a crash
        continues: rows are written in one transaction.

        Raises:
            GapError: bytes are missing, or the target's database cannot hold a row, and
                `accept_gaps` is not given; or the cut has expired; no
                row was written.
            TransientError: something is unreachable, or an expiry deletes what is needed; try
                again.
            RefusedError: rows of that name were written meanwhile; none was written by this call.
            FencedError: an applier took over meanwhile; no row was written, run it again.
        """
        log_id = await self._target.log_id()
        async with self._leases.taken(log_id, plan.cut.offset):
            return await self._carry_out(plan, log_id, accept_gaps=accept_gaps)

    async def _carry_out(
        self, plan: RenamePlan, log_id: str, *, accept_gaps: bool
    ) -> tuple[Uncopied, ...]:
        await self._guard.look()
        state = await self._target.state()
        # The rows of the promoted cluster's own tasks could have the same ids by now.
        refuse_promoted(state.checkpoint, self._target.name)
        gaps = [gap for gap in await self._gaps() if gap.at(plan.cut.offset)]
        uncopied = await recover(
            self._copier, plan.picks, gaps=gaps, reached=state.reached_in(log_id)
        )
        if uncopied and not accept_gaps:
            raise not_whole(plan.cut, uncopied)
        epoch = await self._epoch()
        await self._refuse_taken(plan.renamed.datasource)
        await self._guard.require_spared(plan.picks)
        try:
            await self._write(plan, uncopied, epoch)
        except UnfitRowsError as exc:
            uncopied = (*uncopied, *exc.rows)
            if not accept_gaps:
                raise not_whole(plan.cut, uncopied) from exc
            await self._write(plan, uncopied, epoch)
        return uncopied

    async def _write(self, plan: RenamePlan, uncopied: Sequence[Uncopied], epoch: Epoch) -> None:
        left_out = frozenset(row.offset for row in uncopied)
        await self._executor.commit_renamed(plan.picks, plan.renamed, without=left_out, epoch=epoch)

    async def plan_forget(self, datasource: str) -> ForgetPlan:
        """Return which rows of a renamed datasource would be deleted; nothing is changed.

        Rows that the source has published under that name meanwhile stay.

        Raises:
            NotFoundError: there is no renamed datasource of that name.
        """
        known = {one.datasource: one for one in await self._target.renamed()}
        if datasource not in known:
            names = ", ".join(sorted(known)) or "none"
            raise NotFoundError(
                f"target {self._target.name!r} has no datasource {datasource!r} that was restored"
                f" under that name; it has {names}"
            )
        checkpoint = await self._target.checkpoint()
        followed = empty()
        if checkpoint is not None:
            await require_log_of(checkpoint, self._target)
            rule = Mapped(mapping=self._mapping, scope=Scope(datasource=datasource))
            followed = await fold(self._history, checkpoint.offset, rule)
        async with self._target.metadata.snapshot() as snapshot:
            keys = {
                kind: without_keys(
                    await scanned(snapshot, kind, datasources=[datasource]), followed.keys
                )
                for kind in snapshot.kinds
            }
        return ForgetPlan(renamed=known[datasource], keys=keys)

    async def forget(self, plan: ForgetPlan) -> None:
        """Delete the rows; their bytes stay.

        Raises:
            FencedError: an applier took over meanwhile; no row was deleted, run it again.
        """
        await self._executor.commit_forgotten(
            plan.renamed.datasource, plan.keys, epoch=await self._epoch()
        )

    async def _gaps(self) -> list[Gap]:
        log_id = await self._target.log_id()
        return list(await self._target.gaps(log_id))

    async def _epoch(self) -> Epoch:
        """Return the epoch of the target's owner; acquire a first one if there is none."""
        state = await self._target.state()
        return state.epoch or (await self._target.acquire()).epoch

    async def _refuse_taken(self, name: str) -> None:
        async with self._target.metadata.snapshot() as snapshot:
            rows = [
                len(await scanned(snapshot, kind, datasources=[name])) for kind in snapshot.kinds
            ]
        if found := sum(rows):
            raise RefusedError(
                f"target {self._target.name!r} has {found} rows of a datasource {name!r} already",
                hint="choose another name, or remove an earlier restore with --forget-renamed",
            )
