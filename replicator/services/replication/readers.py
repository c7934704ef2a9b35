"""The targets that read a log: none of them can be further than the log goes.

A log that was put back to an older copy, or has lost its newest records, is as good as any to
whoever writes to it: the next cut would take numbers and offsets that targets know with other
contents. Only the targets can tell.

Whether a checkpoint beyond the log's end says something of the log, or of itself, is in the
target's store: an applier writes the history of a cut there before its checkpoint reaches the cut.
So one that neither the log nor that history reaches was written by somebody else, and the log is as
good as before. A restore needs no history in its target's store: the checkpoint of a paused target
is believed.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from replicator.errors import (
    CorruptionError,
    NotFoundError,
    ReplicatorError,
    TransientError,
    defects_named,
)
from replicator.model.checkpoint import Checkpoint
from replicator.model.observation import Observer
from replicator.model.observed.faults import Waiting
from replicator.ports import Area, MetadataWriter
from replicator.ports.log import Span
from replicator.services.history.reader import History
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Store
from replicator.services.target.reconciler import refuse_cut_short
from replicator.task_group import TaskGroup

ANSWER_MAX_S = 5.0
"""Seconds within which a target says where it is; one that is away holds up no watcher."""
STORE_ANSWER_MAX_S = 60.0
"""Seconds within which a target's store says whether its checkpoint can be right."""


@dataclass(frozen=True, slots=True)
class LogReader:
    """A target that reads the log."""

    metadata: MetadataWriter
    area: Area


class Readers:
    """Asks the targets of a source where they are.

    Args:
        source: Name of the source cluster.
        targets: Its targets, by their names.
        observer: Receives targets whose checkpoints are wrong.
    """

    def __init__(self, source: str, targets: Mapping[str, LogReader], observer: Observer) -> None:
        self._source, self._targets, self._observer = source, targets, observer

    async def refuse_cut_short(self, history: History) -> None:
        """Refuse to write a log that ends before the cut of one of its targets.

        A target whose checkpoint is wrong is reported and passed over: its own applier halts.

        Raises:
            LogCutShortError: it has lost records that were applied already.
            TransientError: the log cannot be reached, or the store of a target that is further.
        """
        checkpoints = await self._checkpoints()  # before the log's end, which only grows
        try:
            span = await history.span()
        except NotFoundError:
            return  # the writer makes it, under a new id
        for name, checkpoint in checkpoints.items():
            if checkpoint.log_id == span.log_id and checkpoint.offset >= span.end:
                await self._judge(name, checkpoint, span)

    async def _judge(self, name: str, checkpoint: Checkpoint, span: Span) -> None:
        try:
            async with asyncio.timeout(STORE_ANSWER_MAX_S):
                passed_over = await self._is_wrong(name, checkpoint, span)
        except (ReplicatorError, TimeoutError) as exc:
            raise TransientError(
                f"target {name!r} is at offset {checkpoint.offset}, and the log ends at {span.end};"
                f" whether the log was put back to an older copy is in the target's store, which"
                f" does not answer: {exc}",
                hint="bring the store back; nothing is published until then",
            ) from exc
        if not passed_over:
            refuse_cut_short(checkpoint, span, name)
        reason = str(wrong(checkpoint, span, name))
        self._observer(Waiting(what="heed a target", reason=reason, delay_s=0.0, is_part=True))

    async def _is_wrong(self, name: str, checkpoint: Checkpoint, span: Span) -> bool:
        with defects_named(f"the store of target {name!r}"):
            return await is_wrong(checkpoint, span, self._targets[name].area)

    async def _checkpoints(self) -> Mapping[str, Checkpoint]:
        found = dict[str, Checkpoint]()

        async def ask(name: str, metadata: MetadataWriter) -> None:
            # the applier of a target that cannot be read reports what is wrong with it
            with suppress(ReplicatorError, TimeoutError), defects_named(f"target {name!r}"):
                async with asyncio.timeout(ANSWER_MAX_S):
                    state = await metadata.state(self._source)
                if state.checkpoint is not None:
                    found[name] = state.checkpoint

        async with TaskGroup() as group:
            for name, one in self._targets.items():
                group.create_task(ask(name, one.metadata))
        return found


async def is_wrong(checkpoint: Checkpoint, span: Span, area: Area) -> bool:
    """Return whether a checkpoint beyond the log's end was not written by an applier.

    Raises:
        TransientError: the target's store cannot be read.
    """
    if checkpoint.paused:
        return False
    end = await history_end(span, area)
    return end is not None and end <= span.end


async def proves_cut_short(span: Span, area: Area) -> bool:
    """Return whether a target's store has more of the log than the log.

    Raises:
        TransientError: the target's store cannot be read.
    """
    end = await history_end(span, area)
    return end is not None and end > span.end


async def history_end(span: Span, area: Area) -> int | None:
    """Return where the history of a log ends in a target's store; None: there is none."""
    return await ArchivedLog(Store(area), span.log_id).end()


def wrong(checkpoint: Checkpoint, span: Span, target: str) -> CorruptionError:
    """Return the error of such a target, with the way out."""
    return CorruptionError(
        f"target {target!r} says that it is at offset {checkpoint.offset}; neither the log, which"
        f" ends at {span.end}, nor the history in the target's own store reaches that: no"
        " applier wrote it",
        hint=f"see who can write to the target's metadata store; then"
        f" `replicator apply {target} --adopt` brings it to the log's newest cut",
    )
