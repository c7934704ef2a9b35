"""Treats a source whose rows are nearly all gone at once as another database, or an emptied one.

Druid deletes the row of a segment only after it was marked unused for a while (kill tasks), so used
segments do not vanish between two polls. A wrong URL, a database restored empty and a TRUNCATE look
exactly like that, and every target would follow.
"""

from dataclasses import dataclass

from replicator.errors import TransientError
from replicator.model.event import RowChanged
from replicator.model.inventory.ledger import Offsets
from replicator.model.row import Segment
from replicator.services.history.reader import History

ROWS_MIN = 100
"""Number of rows below which nothing is refused: an operator may change a small cluster by hand."""
SAMPLE_ROWS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Vanished:
    """Rows that the log knows and the source does not have, most of them in use."""

    rows: int
    known: int
    """Number of rows that the log says the source has."""
    used: int
    segments: int
    """Segments among the rows that were looked at."""

    @property
    def text(self) -> str:
        """What is the matter."""
        return (
            f"{self.rows} of the {self.known} rows that the source had are gone at once, and"
            f" {self.used} of {self.segments} segments among them that were looked at were in use,"
            " whose rows Druid does not delete: this seems to be another database, or one that was"
            " emptied"
        )


async def vanished(
    gone: Offsets, known: int, share_max: float, history: History
) -> Vanished | None:
    """Return what has vanished; None where that is no reason to ask.

    Args:
        gone: Offsets, ascending, of the log's events about the rows that are gone.
        known: Number of rows that the log says the source has.
        share_max: Share of them that may go at once; 1 allows all.
        history: Reads the log.
    """
    if not len(gone) or len(gone) <= share_max * known:
        return None
    used = segments = 0
    sample = gone[:: max(1, len(gone) // SAMPLE_ROWS)]
    async for entries in history.pick(sample):
        for entry in entries:
            if isinstance(entry.event, RowChanged) and isinstance(entry.event.row, Segment):
                segments += 1
                used += entry.event.row.used
    # Kill tasks delete the rows of unused segments, and many at once for a watcher that was away.
    if 2 * used <= segments:
        return None
    return Vanished(rows=len(gone), known=known, used=used, segments=segments)


async def refuse_vanished(gone: Offsets, known: int, share_max: float, history: History) -> None:
    """Refuse a poll in which most rows are gone; the arguments are those of `vanished`.

    Raises:
        TransientError: it is for a person to decide; nothing was published.
    """
    if len(gone) < ROWS_MIN:
        return
    if (found := await vanished(gone, known, share_max, history)) is None:
        return
    raise TransientError(
        f"{found.text}. Nothing was published; `replicator watch --once --accept-vanished`"
        " publishes it if it is on purpose",
        hint="correct source.metadata, or bring its tables back: the targets stay as they are."
        " While no watcher ran, kill tasks may have done it: then it is on purpose",
    )
