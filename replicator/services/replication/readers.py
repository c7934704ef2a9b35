"""The targets that read a log: none of them can be further than the log goes.

A log that was put back to an older copy, or has lost its newest records, is as good as any to
whoever writes to it: the next cut would take numbers and offsets that targets know with other
contents. Only the targets can tell.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress

from replicator.errors import NotFoundError, ReplicatorError
from replicator.model.checkpoint import Checkpoint
from replicator.ports import MetadataWriter
from replicator.services.history.reader import History
from replicator.services.target.reconciler import refuse_cut_short
from replicator.task_group import TaskGroup

ANSWER_MAX_S = 5.0
"""Seconds within which a target says where it is; one that is away holds up no watcher."""


class Readers:
    """Asks the targets of a source where they are.

    Args:
        source: Name of the source cluster.
        targets: Metadata stores of its targets, by their names.
    """

    def __init__(self, source: str, targets: Mapping[str, MetadataWriter]) -> None:
        self._source, self._targets = source, targets

    async def refuse_cut_short(self, history: History) -> None:
        """Refuse to write a log that ends before the cut of one of its targets.

        Raises:
            LogCutShortError: it has lost records that were applied already.
            TransientError: the log cannot be reached.
        """
        checkpoints = await self._checkpoints()  # before the log's end, which only grows
        try:
            span = await history.span()
        except NotFoundError:
            return  # the writer makes it, under a new id
        for name, checkpoint in checkpoints.items():
            if checkpoint.log_id == span.log_id:
                refuse_cut_short(checkpoint, span, name)

    async def _checkpoints(self) -> Mapping[str, Checkpoint]:
        found = dict[str, Checkpoint]()

        async def ask(name: str, metadata: MetadataWriter) -> None:
            # whoever applies to a target that cannot be asked says what is wrong with it
            with suppress(ReplicatorError, TimeoutError):
                async with asyncio.timeout(ANSWER_MAX_S):
                    state = await metadata.state(self._source)
                if state.checkpoint is not None:
                    found[name] = state.checkpoint

        async with TaskGroup() as group:
            for name, metadata in self._targets.items():
                group.create_task(ask(name, metadata))
        return found
