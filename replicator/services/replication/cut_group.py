"""Cuts that are committed together, because a later one explains missing bytes of earlier ones."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from replicator.model.checkpoint import (
    KILLED_BEFORE_COPIED,
    OBJECT_CHANGED,
    OBJECT_MISSING,
    Gap,
    changed_rows,
)
from replicator.model.event import ClosedCut, Offset
from replicator.model.fingerprint import key_hash
from replicator.model.inventory.ledger import Offsets, items
from replicator.model.plans.plan import latest_per_key
from replicator.model.row import RowKey
from replicator.services.history.cuts import CutSpan
from replicator.services.target.copier import Copier, Trust, Uncopied
from replicator.services.target.reconciler import gap_of


class CutGroup:
    """Cuts after a target's checkpoint whose bytes were copied as far as they could be.

    A segment can be published, marked unused and killed before its bytes are copied (trap
    4). A commit of the earlier cut alone would need a row without bytes, or a gap that the next cut
    shows to be none. So such cuts wait in a group until a later cut removes or replaces each
    missing row.

    Args:
        gaps: The gaps of the checkpoint; those that are open can be closed by a cut of the group.
    """

    def __init__(self, gaps: Iterable[Gap] = ()) -> None:
        gaps = tuple(gaps)
        self._cuts: list[CutSpan] = []
        self._uncopied: dict[Offset, Uncopied] = {}
        self._keys: dict[bytes, Offset] = {}
        """Offsets in `_uncopied` by the hash of the row's key."""
        self._passed: list[Gap] = []
        self._open = {
            key_hash(RowKey(gap.kind, gap.key)): gap for gap in gaps if gap.closed is None
        }
        self._hopeless: set[bytes] = set()
        """Key hashes of rows with an open gap before this group.

        Their wait was over once. Waiting again at each of their later events would stop the target
        for `kill_wait` whenever Druid touches such a row.
        """
        self._doubted: set[RowKey] = {*changed_rows(gaps)}
        """Rows whose location on the target holds other bytes than the source had.

        A copy that finds bytes there must compare them with the source's again (an id, and with
        it a location, can be given out a second time); without this the stale copy would count as
        theirs.
        """

    @property
    def open_gaps(self) -> Sequence[Gap]:
        """The gaps of the checkpoint that no cut of the group closes."""
        return [*self._open.values()]

    @property
    def passed(self) -> Sequence[Gap]:
        """The gaps that a cut of the group closes."""
        return self._passed

    @property
    def uncopied(self) -> Sequence[Uncopied]:
        """The rows of the group without bytes on the target."""
        return [*self._uncopied.values()]

    @property
    def awaited(self) -> Sequence[Uncopied]:
        """The rows whose missing bytes a later cut may still explain as killed."""
        return missing(row for row in self.uncopied if key_hash(row.key) not in self._hopeless)

    @property
    def last(self) -> ClosedCut:
        """The cut that the target is at when the group is committed."""
        return self._cuts[-1].at

    @property
    def offsets(self) -> Offsets:
        """The offsets of all events of the group."""
        return np.concatenate([cut.offsets for cut in self._cuts])

    @property
    def picks(self) -> Offsets:
        """The offset of each row's newest event in the group."""
        if len(self._cuts) == 1:
            return self.offsets
        return latest_per_key(self.offsets, np.concatenate([cut.keys for cut in self._cuts]))

    async def take(self, span: CutSpan, copier: Copier, *, again: bool) -> None:
        """Copy the bytes of the next cut and add it; `again`: some may have been copied before."""
        self._explain(span)
        rows = await copier.copy(
            span.offsets, trust=Trust.NEVER, doubted=self._doubted, again=again
        )
        for row in rows:
            self._uncopied[row.offset] = row
            if row.reason == OBJECT_CHANGED:
                self._doubted.add(row.key)
            self._keys[key_hash(row.key)] = row.offset
        self._cuts.append(span)

    def _explain(self, span: CutSpan) -> None:
        """Close the gaps of rows that the next cut changes or removes."""
        again = set(items(span.keys))
        # A row of this group that this cut changes or removes is not awaited any more: the missing
        # bytes of its former content were killed before they were copied (trap 4).
        for key in again & self._keys.keys():
            row = killed(self._uncopied.pop(self._keys.pop(key)))
            self._passed.append(gap_of(row, closed=span.at.offset))
        # The same for a row with a gap from before. If its new content lacks bytes too, waiting is
        # hopeless: the gap was recorded because no later cut had explained it within `kill_wait`.
        for key in again & self._open.keys():
            self._passed.append(replace(self._open.pop(key), closed=span.at.offset))
            self._hopeless.add(key)

    async def copy_again(self, copier: Copier) -> None:
        """Try to copy the missing bytes once more before they become gaps."""
        offsets = np.array(sorted(self._uncopied), np.int64)
        uncopied = await copier.copy(offsets, trust=Trust.NEVER, doubted=self._doubted)
        self._uncopied = {row.offset: row for row in uncopied}


def missing(rows: Iterable[Uncopied]) -> Sequence[Uncopied]:
    """Return the rows whose bytes are in no storage of the source."""
    return [row for row in rows if row.reason == OBJECT_MISSING]


def killed(row: Uncopied) -> Uncopied:
    """Return a row's failure as killed before copied, because a later cut is without the row.

    Changed bytes stay a reason of their own: the target must know that its location holds them.
    """
    return replace(row, reason=KILLED_BEFORE_COPIED) if row.reason == OBJECT_MISSING else row
