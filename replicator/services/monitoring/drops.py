"""Which datasources were dropped at the source lately: an operator who is called wants to see it.

A datasource counts as dropped when segments of it were marked unused and none is used any more. An
overwrite and a drop rule mark segments unused, too; both leave others used. The log says what was
marked, and the source's database says whether anything is left, by its index: neither is asked for
more than a bounded number of records and names.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from replicator.model.event import ClosedCut, Offset, Record
from replicator.model.log.peek import segment_update
from replicator.ports import SourceReader
from replicator.services.history.reader import History

SHOWN_FOR = timedelta(hours=24)
"""Age above which a drop is no news any more; `blame` finds it for as long as the log has it."""
RECORDS_MAX = 10_000
"""Newest records of the log that one look reads."""
RECORDS_PER_READ_MAX = 1_000
DATASOURCES_MAX = 100
"""Datasources that one look asks the source about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentDrop:
    """A datasource that had used segments, and has none."""

    datasource: str
    cut: ClosedCut
    """The last cut that marked segments of it unused."""


async def recent_drops(history: History, source: SourceReader, now: datetime) -> list[RecentDrop]:
    """Return the datasources that were dropped in the last `SHOWN_FOR`, the newest first.

    Raises:
        ReplicatorError: the log or the source cannot be read.
    """
    records = await _newest(history, now - SHOWN_FOR)
    marked = _marked(records)
    if not marked:
        return []
    cuts = await history.cuts(records[0].offset, Offset(records[-1].offset + 1))
    names = sorted(marked, key=lambda name: -marked[name])[:DATASOURCES_MAX]
    gone = await source.without_used(names)
    found = []
    for name in names:
        after = bisect_left(cuts, marked[name], key=lambda cut: cut.offset)
        if name in gone and after < len(cuts):  # an attempt that no cut closes does not count
            found.append(RecentDrop(datasource=name, cut=cuts[after]))
    return found


async def _newest(history: History, since: datetime) -> list[Record]:
    """Return the newest records, those of one read more than were appended since then at most."""
    span = await history.span()
    found: list[Record] = []
    at = span.end
    while at > span.first and len(found) < RECORDS_MAX:
        start = max(span.first, Offset(at - RECORDS_PER_READ_MAX))
        found = [*await _between(history, start, at), *found]
        if not found or found[0].appended_at < since:
            break
        at = start
    return [one for one in found if one.appended_at >= since]


async def _between(history: History, start: Offset, end: Offset) -> list[Record]:
    found: list[Record] = []
    while start < end:
        records = await history.raw(start)
        found += [one for one in records if one.offset < end]
        if not records:
            break
        start = Offset(records[-1].offset + 1)
    return found


def _marked(records: Sequence[Record]) -> dict[str, Offset]:
    """Return where segments were last marked unused, of the datasources with none used since."""
    found: dict[str, Offset] = {}
    for record in records:
        update = segment_update(record)
        if update is None or not update.datasource:
            continue
        if update.used:
            found.pop(update.datasource, None)
        elif not update.is_new:
            found[update.datasource] = record.offset
    return found
