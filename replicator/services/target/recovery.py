"""Restores the bytes of rows that a target had before."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from replicator.errors import GapError
from replicator.model.checkpoint import OBJECT_CHANGED, ROW_UNFIT, Gap
from replicator.model.event import ClosedCut, Offset
from replicator.model.inventory.ledger import Offsets
from replicator.model.operations.words import counted
from replicator.model.row import RowKey
from replicator.services.target.copier import Copier, Trust, Uncopied

SHOWN_MAX = 10


async def recover(
    copier: Copier,
    picks: Offsets,
    *,
    gaps: Sequence[Gap],
    reached: Offset | None,
    doubted: AbstractSet[RowKey] = frozenset(),
    by_reference: bool = False,
) -> tuple[Uncopied, ...]:
    """Copy the bytes that the target lacks; bytes that it has are trusted, with exceptions.

    Rows applied up to `reached`, and all rows with `by_reference`, are not compared with the
    source. Rows with an OBJECT_CHANGED gap, and rows in `doubted`, may have wrong bytes at their
    location and are compared again.
    """
    changed = [_known(gap) for gap in gaps if gap.reason == OBJECT_CHANGED]
    wanted = np.setdiff1d(picks, [row.offset for row in changed])
    applied = (wanted <= (-1 if reached is None else reached)) | by_reference
    copied = (
        *await copier.copy(wanted[applied], trust=Trust.ALWAYS),
        *await copier.copy(wanted[~applied], trust=Trust.WITHOUT_SOURCE, doubted=doubted),
    )
    barred = (row for row in changed if row.offset in picks)
    return (*copied, *barred)


def not_whole(cut: ClosedCut, uncopied: Sequence[Uncopied]) -> GapError:
    """Return the error for a cut with rows that the target cannot have."""
    shown = "; ".join(f"{row.words}: {row.detail}" for row in uncopied[:SHOWN_MAX])
    more = f" and {len(uncopied) - SHOWN_MAX} more" if len(uncopied) > SHOWN_MAX else ""
    return GapError(
        f"cut {cut.closed.cut} cannot be restored whole: {_lacking(uncopied)} ({shown}{more}); no"
        " row was changed",
        hint="choose another point (`replicator points`), or restore everything else with"
        " `--accept-gaps`",
    )


def _lacking(uncopied: Sequence[Uncopied]) -> str:
    rows = len(uncopied)
    unfit = sum(row.reason == ROW_UNFIT for row in uncopied)
    if not unfit:
        return f"{rows} rows have no bytes any more"
    if unfit == rows:
        return f"{counted(rows, 'row')} cannot be held by the target's database"
    return f"{rows} rows have no bytes any more, or cannot be held by the target's database"


def _known(gap: Gap) -> Uncopied:
    return Uncopied(
        offset=gap.opened,
        key=RowKey(gap.kind, gap.key),
        datasource=gap.datasource,
        reason=gap.reason,
        detail=gap.detail,
    )
