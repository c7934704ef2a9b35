"""Totals of changed rows, for a summary of a plan; an estimate, found by text."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from replicator.model.arrays import np
from replicator.model.event import Record
from replicator.model.fingerprint import key_hash
from replicator.model.inventory.ledger import KEY, same_rows
from replicator.model.log.effects import UNNAMED, EffectShares
from replicator.model.log.peek import EventSummary, subject_of, summary_of
from replicator.model.row import Kind

if TYPE_CHECKING:
    from replicator.model.inventory.ledger import Keys


class Tally(NamedTuple):
    """Totals of changed rows, for a summary of a plan."""

    segments: int
    objects: int
    """Number of segments with bytes."""
    size_bytes: int
    """Unpacked size of these segments."""
    by_datasource: "Counter[str | None]"
    """Number of rows by datasource; None: rows without a datasource."""
    shares: EffectShares
    """What becomes of the datasources' used segments."""


def tally(records: Sequence[Record], *, used_before: "Keys | None" = None) -> Tally:
    """Return the totals of changed rows, without decoding them.

    `used_before` are the ascending key hashes of the rows that were used segments; None: no row
    was.
    """
    return _tally(list(map(summary_of, records)), _were_used(records, used_before))


def _tally(seen: Sequence[EventSummary], were_used: Sequence[bool]) -> Tally:
    sizes = [found.size_bytes for found in seen if found.size_bytes is not None]
    segments, shares = 0, EffectShares()
    for found, was_used in zip(seen, were_used, strict=True):
        if found.kind is not Kind.SEGMENT:
            continue
        segments += 1
        if found.used != was_used:
            count = shares.lose if was_used else shares.gain
            count(found.datasource or UNNAMED, found.interval)
    return Tally(
        segments=segments,
        objects=len(sizes),
        size_bytes=sum(sizes),
        by_datasource=Counter([found.datasource for found in seen]),
        shares=shares,
    )


def _were_used(records: Sequence[Record], used_before: "Keys | None") -> list[bool]:
    if used_before is None or not len(used_before):
        return [False] * len(records)
    named = map(subject_of, records)
    keys = [b"" if found is None else key_hash(found.row_key) for found in named]
    hashes = np.array(keys, KEY)
    mask = same_rows(used_before, np.searchsorted(used_before, hashes), hashes)
    found_used: list[bool] = mask.tolist()
    return found_used
