"""Writes a plan to a target: rows, gaps and checkpoint in one transaction.

One row that the database cannot hold makes all of it fail. Only then are the rows tried once more,
in a transaction that is rolled back, to name those that do not fit.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

from replicator.errors import ConfigError, CorruptionError, UnfitRowError
from replicator.model.event import Entry, Epoch, Offset, RowChanged, RowRemoved
from replicator.model.inventory.ledger import Keys, Offsets
from replicator.model.log.renaming import Renamed, renamed
from replicator.model.log.row_mapping import RowMapping
from replicator.model.observation import Progress
from replicator.model.operations.words import counted
from replicator.model.plans.plan import Plan
from replicator.model.row import Kind, RowKey, key_of
from replicator.ports import Transaction
from replicator.services.target.copier import Uncopied
from replicator.services.target.rates import RateBook
from replicator.services.target.target import Target
from replicator.services.target.unfit_rows import MappedRow, UnfitRowsError, unfit_rows


class _TriedError(Exception):
    """Ends a transaction of which nothing is to stay."""


class Executor:
    """The only service that writes a target's rows; their bytes must be there before (`Copier`).

    Args:
        target: Target whose rows are written.
        mapping: Rule that turns a source row into a target row.
        unfit_max: Number of rows in one plan that the database may be unable to hold; if there are
            more, its tables are wrong.
        rates: Receives the throughput; None if it is not recorded.
    """

    def __init__(
        self,
        target: Target,
        *,
        mapping: RowMapping,
        unfit_max: int,
        rates: RateBook | None = None,
    ) -> None:
        self._target, self._history, self._observer = target, target.history, target.observer
        self._mapping, self._unfit_max, self._rates = mapping, unfit_max, rates

    async def commit(self, plan: Plan, *, epoch: Epoch) -> None:
        """Write the plan's rows, gaps and checkpoint in one transaction.

        Raises:
            UnfitRowsError: the database cannot hold some of the rows; nothing was changed.
            ConfigError: it cannot hold more than `unfit_max` of them, or lacks a table or a column;
                nothing was changed.
            FencedError: a newer epoch owns the target; nothing was changed.
            TransientError: the outcome is unknown; read the checkpoint before continuing.
        """
        began, done = asyncio.get_running_loop().time(), 0
        try:
            async with self._target.transaction(epoch) as transaction:
                for kind, keys in plan.surplus.items():
                    await transaction.remove_hashed(kind, keys)
                async for rows, count in self._each(transaction, plan.picks, plan.without):
                    await transaction.upsert([one.row for one in rows])
                    done += count
                    self._observer(
                        Progress(what="write rows", done=done, total=len(plan.picks), unit="rows")
                    )
                await transaction.record(plan.checkpoint, plan.gaps)
        except UnfitRowError as exc:
            await self._refuse_unfit(plan, epoch, exc)
        if self._rates is not None:
            await self._rates.wrote(done, asyncio.get_running_loop().time() - began)

    async def unfit(self, picks: Offsets, *, epoch: Epoch) -> Sequence[Uncopied]:
        """Return which of these rows the database cannot hold; nothing is changed.

        Raises:
            ConfigError, FencedError, TransientError: as for `commit`.
        """
        found: list[Uncopied] = []
        with suppress(_TriedError):
            async with self._target.transaction(epoch) as transaction:
                found = await self._unfit(transaction, picks, most=len(picks))
                raise _TriedError
        return found

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
            UnfitRowsError, ConfigError, FencedError, TransientError: as for `commit`.
        """
        name = to.datasource
        try:
            async with self._target.transaction(epoch) as transaction:
                # First, as it takes the name: two restores under one name would otherwise both
                # write rows.
                await transaction.note_renamed(to)
                async for rows, _ in self._each(transaction, picks, without, name=name):
                    await transaction.upsert([one.row for one in rows])
        except UnfitRowError as exc:
            async with self._target.transaction(epoch) as transaction:
                self._refuse(await self._unfit(transaction, picks, without, name=name), exc)

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

    async def _refuse_unfit(self, plan: Plan, epoch: Epoch, exc: UnfitRowError) -> NoReturn:
        """Name the rows of a plan that do not fit; if all do by now, say what was in the way."""
        async with self._target.transaction(epoch) as transaction:
            for kind, keys in plan.surplus.items():
                await transaction.remove_hashed(kind, keys)
            self._refuse(await self._unfit(transaction, plan.picks, plan.without), exc)

    def _refuse(self, found: Sequence[Uncopied], exc: UnfitRowError) -> NoReturn:
        """End a trial with what it has found, which also rolls it back."""
        if len(found) > self._unfit_max:
            raise ConfigError(
                f"target {self._target.name!r}: {counted(len(found), 'row')} do not fit into its"
                f" database, the first is {found[0].words}: {found[0].detail}",
                hint="compare its tables with the source's; if these rows alone are affected, raise"
                " rows_unfit_max, so that they become gaps; nothing was changed",
            ) from exc
        if found:
            raise UnfitRowsError(self._target.name, found) from exc
        raise exc

    async def _unfit(
        self,
        transaction: Transaction,
        picks: Offsets,
        without: frozenset[Offset] = frozenset(),
        *,
        name: str | None = None,
        most: int | None = None,
    ) -> list[Uncopied]:
        """Write rows as `commit` does, until more than `most` have been found that do not fit."""
        most = self._unfit_max if most is None else most
        found: list[Uncopied] = []
        async for rows, _ in self._each(transaction, picks, without, name=name):
            found += await unfit_rows(transaction, rows)
            if len(found) > most:
                break
        return found

    async def _each(
        self,
        transaction: Transaction,
        picks: Offsets,
        without: frozenset[Offset],
        *,
        name: str | None = None,
    ) -> AsyncIterator[tuple[list[MappedRow], int]]:
        """Yield the rows to write, in bounded lists with the number of their events.

        Rows that go are removed before. A copy under another `name` removes none: rows of that name
        are its own, and the others are those of the source.
        """
        async for entries in self._history.pick(picks):
            rows, gone = self._rows(entries, without, name=name)
            if name is None:
                await transaction.remove(gone)
            yield rows, len(entries)

    def _rows(
        self, entries: Sequence[Entry], without: frozenset[Offset], *, name: str | None = None
    ) -> tuple[list[MappedRow], list[RowKey]]:
        """Return the rows to write, under another name if there is one, and the keys to remove."""
        rows: list[MappedRow] = []
        gone: list[RowKey] = []
        for entry in entries:
            match entry.event:
                case RowRemoved(key=key):
                    gone.append(key)
                case RowChanged(row=row) if entry.offset in without:
                    # The row's former content goes as well: no cut has it beside the rows that this
                    # plan writes, so keeping it would show a state that the source never had.
                    gone.append(key_of(row))
                case RowChanged(row=row):
                    if (mapped := self._mapping.mapped(row)) is not None:
                        wanted = mapped if name is None else renamed(mapped, name)
                        rows.append(MappedRow(entry=entry, source_row=row, row=wanted))
                case _:
                    raise CorruptionError(f"offset {entry.offset} closes a cut and is no row")
        return rows, gone
