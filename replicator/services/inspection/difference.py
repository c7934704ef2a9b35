"""What changed at the source between two cuts of the log."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from replicator.model.event import ClosedCut, Entry, RowChanged, RowRemoved
from replicator.model.fingerprint import key_hash
from replicator.model.inventory.ledger import Offsets, diff
from replicator.model.log.reading import Recorded
from replicator.model.row import Row, RowKey, key_of
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History


class RowDifference(Enum):
    """What happened to a row."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChange:
    """One row that differs between two cuts."""

    key: RowKey
    change: RowDifference
    row: Row | None = None
    """Its content in the later cut; None: it is gone."""


async def difference(
    history: History, before: ClosedCut, after: ClosedCut
) -> AsyncIterator[RowChange]:
    """Yield each row that differs; those that are gone come last."""
    old = await fold(history, before.offset, Recorded())
    new = await fold(history, after.offset, Recorded())
    changes = diff(old, new)
    gone = _sorted(changes.offsets[changes.removed])
    async for entries in history.pick(_sorted(changes.offsets[~changes.removed])):
        for entry in entries:
            key = _key(entry)
            is_new = old.find(key_hash(key)) is None
            change = RowDifference.ADDED if is_new else RowDifference.CHANGED
            yield RowChange(key=key, change=change, row=_row(entry))
    async for entries in history.pick(gone):
        for entry in entries:
            yield RowChange(key=_key(entry), change=RowDifference.REMOVED)


def _sorted(offsets: Offsets) -> Offsets:
    found: Offsets = np.sort(offsets)
    return found


def _row(entry: Entry) -> Row | None:
    return entry.event.row if isinstance(entry.event, RowChanged) else None


def _key(entry: Entry) -> RowKey:
    match entry.event:
        case RowChanged(row=row):
            return key_of(row)
        case RowRemoved(key=key):
            return key
        case _:
            raise AssertionError("a ledger holds rows only")
