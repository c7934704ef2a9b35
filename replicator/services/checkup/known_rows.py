"""Holds the rows that a source shows against those that the log says it has."""

from replicator.model.inventory.comparison import Comparison
from replicator.model.inventory.ledger import Ledger
from replicator.model.log.reading import Recorded
from replicator.model.plans.restore_point import Latest
from replicator.ports import Chunk
from replicator.services.checkup.finding import Finding
from replicator.services.history.cuts import fold
from replicator.services.history.reader import History
from replicator.services.history.vanished import ROWS_MIN, vanished

_CORRECT = "correct source.metadata, or bring its tables back, before a watcher runs"


async def known_rows(history: History) -> Ledger:
    """Return the rows of the log's last cut, read as a watcher's start reads them.

    Raises:
        ReplicatorError: a watcher could not start from this log either.
    """
    cut = await history.find(Latest())
    return await fold(history, cut.offset, Recorded())


class UnseenRows:
    """What a scan of the source has not shown yet of the rows that the log knows.

    Args:
        ledger: Rows that the log knew before the scan.
        history: Reads that log.
        share_max: Share of them that may be gone.
    """

    def __init__(self, ledger: Ledger, history: History, share_max: float) -> None:
        self._comparison, self._known = Comparison(ledger), len(ledger)
        self._history, self._share_max = history, share_max

    def see(self, chunk: Chunk) -> None:
        """Take a chunk of the scan."""
        self._comparison.see(chunk.keys, chunk.marks)

    async def lacking(self) -> list[Finding]:
        """Return a finding if the source lacks so much that it seems to be another one.

        A watcher asks only where a hundred rows vanish; whoever types `check` is asking already.
        """
        gone = self._comparison.unseen()
        found = await vanished(gone, self._known, self._share_max, self._history)
        if found is None:
            return []
        return [Finding(what="source rows", good=False, detail=found.text, hint=_hint(found.rows))]


def _hint(rows: int) -> str:
    if rows < ROWS_MIN:
        return f"{_CORRECT}: it would publish that, and every target would follow"
    return (
        f"{_CORRECT}; if kill tasks have done it while no watcher ran, `replicator watch --once"
        " --accept-vanished` publishes it"
    )
