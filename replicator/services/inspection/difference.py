"""What changed at the source between two cuts of the log."""

from collections.abc import AsyncIterator

import numpy as np

from replicator.model.event import ClosedCut, Entry, RowChanged, RowRemoved
from replicator.model.inventory.ledger import Offsets, diff
from replicator.model.log.reading import Recorded
from replicator.model.row import Row, RowKey, key_of
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History


async def difference(
    history: History, before: ClosedCut, after: ClosedCut
) -> AsyncIterator[tuple[RowKey, Row | None]]:
    """Yield each row that differs with its content in `after`; None for a row that is gone."""
    old = await fold(history, before.offset, Recorded())
    new = await fold(history, after.offset, Recorded())
    changes = diff(old, new)
    gone = _sorted(changes.offsets[changes.removed])
    async for entries in history.pick(_sorted(changes.offsets[~changes.removed])):
        for entry in entries:
            yield _key(entry), _row(entry)
    async for entries in history.pick(gone):
        for entry in entries:
            yield _key(entry), None


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
