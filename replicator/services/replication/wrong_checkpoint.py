"""Whether a target's checkpoint beyond the log's end says something of the log, or of itself.

An applier writes the history of a cut to the target's own store before its checkpoint reaches the
cut. So a checkpoint that neither the log nor that history reaches was written by somebody else, or
belongs to another log: it is the target's trouble, and the log is as good as before. A restore
needs no history in its target's store, so the checkpoint of a paused target says nothing here.
"""

from replicator.errors import CorruptionError
from replicator.model.checkpoint import Checkpoint
from replicator.ports import Area
from replicator.ports.log import Span
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Store


async def is_wrong(checkpoint: Checkpoint, span: Span, area: Area) -> bool:
    """Return whether a checkpoint beyond the log's end was not written by an applier.

    Raises:
        TransientError: the target's store cannot be asked.
    """
    if checkpoint.paused:
        return False
    end = await history_end(span, area)
    return end is not None and end <= span.end


async def proves_cut_short(span: Span, area: Area) -> bool:
    """Return whether a target's store has more of the log than the log.

    Raises:
        TransientError: the target's store cannot be asked.
    """
    end = await history_end(span, area)
    return end is not None and end > span.end


async def history_end(span: Span, area: Area) -> int | None:
    """Return where the history of a log ends in a target's store; None: there is none."""
    return await ArchivedLog(Store(area), span.log_id).end()


def wrong(checkpoint: Checkpoint, span: Span, target: str) -> CorruptionError:
    """Return what is said of such a target, with the way out."""
    return CorruptionError(
        f"target {target!r} says that it is at offset {checkpoint.offset}; neither the log, which"
        f" ends at {span.end}, nor the history in the target's own store reaches that: nobody"
        " applied it",
        hint=f"see who can write to the target's metadata store; then"
        f" `replicator apply {target} --adopt` brings it to the log's newest cut",
    )
