"""Writes a plan to a target: rows, gaps and checkpoint in one transaction."""

import asyncio
from collections.abc import Mapping, Sequence

from replicator.errors import CorruptionError
from replicator.model.event import Entry, Epoch, Offset, RowChanged, RowRemoved
from replicator.model.inventory.ledger import Keys, Offsets
from replicator.model.log.renaming import Renamed, renamed
from replicator.model.log.row_mapping import RowMapping
from replicator.model.observation import Progress
from replicator.model.plans.plan import Plan
from replicator.model.row import Kind, Row, RowKey, key_of
from replicator.services.target.rates import RateBook
from replicator.services.target.target import Target


class Executor:
    """The only service that writes a target's rows; their bytes must be there before (`Copier`).

    Args:
        target: Target whose rows are written.
        mapping: Rule that turns a source row into a target row.
        rates: Receives the throughput; None if it is not recorded.
    """

    def __init__(
        self, target: Target, *, mapping: RowMapping, rates: RateBook | None = None
    ) -> None:
        self._target, self._history, self._observer = target, target.history, target.observer
        self._mapping, self._rates = mapping, rates

    async def commit(self, plan: Plan, *, epoch: Epoch) -> None:
        """Write the plan's rows, gaps and checkpoint in one transaction.

        Raises:
            FencedError: a newer epoch owns the target; nothing was changed.
            TransientError: the outcome is unknown; read the checkpoint before continuing.
        """
        began, done = asyncio.get_running_loop().time(), 0
        async with self._target.transaction(epoch) as transaction:
            for kind, keys in plan.surplus.items():
                await transaction.remove_hashed(kind, keys)
            async for entries in self._history.pick(plan.picks):
                rows, gone = self._rows(entries, plan.without)
                await transaction.remove(gone)
                await transaction.upsert(rows)
                done += len(entries)
                self._observer(
                    Progress(what="write rows", done=done, total=len(plan.picks), unit="rows")
                )
            await transaction.record(plan.checkpoint, plan.gaps)
        if self._rates is not None:
            await self._rates.wrote(done, asyncio.get_running_loop().time() - began)

    async def keep_rates(self) -> None:
        """Write the measured throughput, at the end of a whole operation."""
        if self._rates is not None:
            await self._rates.keep()

    async def commit_renamed(
        self, picks: Offsets, to: Renamed, *, without: frozenset[Offset], epoch: Epoch
    ) -> None:
        """Write picked rows of one datasource under another name, in one transaction.

        The checkpoint stays: these rows belong to no cut.

        Raises:
            RefusedError: there already is such a datasource; nothing was changed.
            FencedError, TransientError: as for `commit`.
        """
        async with self._target.transaction(epoch) as transaction:
            await transaction.note_renamed(to)
            async for entries in self._history.pick(picks):
                rows, _ = self._rows(entries, without)
                await transaction.upsert([renamed(row, to.datasource) for row in rows])

    async def commit_forgotten(
        self, datasource: str, keys: Mapping[Kind, Keys], *, epoch: Epoch
    ) -> None:
        """Delete the rows of a renamed datasource, in one transaction; their bytes stay.

        Raises:
            FencedError, TransientError: as for `commit`.
        """
        async with self._target.transaction(epoch) as transaction:
            for kind, some in keys.items():
                await transaction.remove_hashed(kind, some)
            await transaction.forget_renamed(datasource)

    def _rows(
        self, entries: Sequence[Entry], without: frozenset[Offset]
    ) -> tuple[list[Row], list[RowKey]]:
        rows: list[Row] = []
        gone: list[RowKey] = []
        for entry in entries:
            match entry.event:
                case RowRemoved(key=key):
                    gone.append(key)
                case RowChanged(row=row) if entry.offset in without:
                    gone.append(key_of(row))
                case RowChanged(row=row):
                    if (mapped := self._mapping.mapped(row)) is not None:
                        rows.append(mapped)
                case _:
                    raise CorruptionError(f"offset {entry.offset} closes a cut and is no row")
        return rows, gone
