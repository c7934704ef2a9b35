"""Finds the rows that a target's database cannot hold, and leaves them out of a plan.

The database says that a statement failed, not which of its rows is at fault: halves are tried until
single rows are left, so that one among n takes 2 log2(n) statements.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from replicator.errors import ConfigError, UnfitRowError
from replicator.model.checkpoint import ROW_UNFIT
from replicator.model.event import Entry
from replicator.model.operations.words import counted
from replicator.model.plans.plan import Plan
from replicator.model.row import Row
from replicator.ports import Transaction
from replicator.services.target.copier import Uncopied, uncopied_row, with_hint
from replicator.services.target.reconciler import gap_of


class UnfitRowsError(ConfigError):
    """The target's database cannot hold some of the rows to write; nothing was changed."""

    def __init__(self, target: str, rows: Sequence[Uncopied]) -> None:
        super().__init__(
            f"the database of target {target!r} cannot hold {counted(len(rows), 'row')}, the first"
            f" is {rows[0].words}: {rows[0].detail}"
        )
        self.rows = tuple(rows)
        """All of them, in the order of their offsets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedRow:
    """A row as the target gets it, and the event that has it."""

    entry: Entry
    source_row: Row
    row: Row


async def unfit_rows(transaction: Transaction, rows: Sequence[MappedRow]) -> list[Uncopied]:
    """Write rows in a transaction; return those that the database cannot hold."""
    try:
        async with transaction.savepoint():
            await transaction.upsert([one.row for one in rows])
    except UnfitRowError as exc:
        if len(rows) == 1:
            return [_unfit(rows[0], exc)]
        middle = len(rows) // 2
        return [
            *await unfit_rows(transaction, rows[:middle]),
            *await unfit_rows(transaction, rows[middle:]),
        ]
    return []


def leaving_out(plan: Plan, rows: Sequence[Uncopied]) -> Plan:
    """Return the plan without the rows that do not fit; they become gaps, or stay those they are.

    A known gap that the plan was about to close is one of a row whose bytes are there by now.
    """
    offsets = frozenset(row.offset for row in rows)
    others = (gap for gap in plan.gaps if gap.opened not in offsets)
    return replace(
        plan, without=plan.without | offsets, gaps=(*others, *(gap_of(row) for row in rows))
    )


def _unfit(one: MappedRow, exc: UnfitRowError) -> Uncopied:
    # what follows the first line may be the whole row, with the secrets of a supervisor
    first_line = str(exc).partition("\n")[0]
    return uncopied_row(one.entry, one.source_row, ROW_UNFIT, with_hint(first_line, exc.hint))
