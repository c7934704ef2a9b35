"""Treats a source whose rows are nearly all gone at once as another database, or an emptied one.

Druid deletes the row of a segment only after it was marked unused for a while (kill tasks), so used
segments do not vanish between two polls. A wrong URL, a database restored empty and a TRUNCATE look
exactly like that, and every target would follow.
"""

from replicator.errors import TransientError
from replicator.model.event import RowChanged
from replicator.model.inventory.ledger import Offsets
from replicator.model.row import Segment
from replicator.services.history.reader import History

ROWS_MIN = 100
"""Number of rows below which nothing is refused: an operator may change a small cluster by hand."""
SAMPLE_ROWS = 1000


async def refuse_vanished(gone: Offsets, known: int, share_max: float, history: History) -> None:
    """Refuse a poll in which most rows are gone, if most segments among them were in use.

    Args:
        gone: Offsets of the log's events about the vanished rows.
        known: Number of rows that the source has by the log.
        share_max: Share of the rows that may vanish at once; 1 allows all.
        history: Reads the log.

    Raises:
        TransientError: an operator must decide; nothing was published.
    """
    if len(gone) < ROWS_MIN or len(gone) <= share_max * known:
        return
    used = segments = 0
    sample = gone[:: max(1, len(gone) // SAMPLE_ROWS)]
    async for entries in history.pick(sample):
        for entry in entries:
            if isinstance(entry.event, RowChanged) and isinstance(entry.event.row, Segment):
                segments += 1
                used += entry.event.row.used
    if 2 * used <= segments:
        return
    raise TransientError(
        f"{len(gone)} of the {known} rows that the source had are gone at once, and {used} of"
        f" {segments} segments among them that were looked at were in use, whose rows Druid does"
        " not delete: this seems to be another database, or one that was emptied. Nothing was"
        " published; `replicator watch --once --accept-vanished` publishes it if it is on purpose",
        hint="correct source.metadata, or bring its tables back: the targets stay as they are."
        " While nobody watched, kill tasks may have done it: then it is on purpose",
    )
