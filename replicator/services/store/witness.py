"""Remembers elsewhere how far a store's history reached, so that an older store is noticed."""

import asyncio
from collections.abc import Sequence

from replicator.errors import ConfigError, CorruptionError, NotFoundError, TransientError
from replicator.model.event import ClosedCut, Offset
from replicator.model.observation import ArchiveDamaged, Observer, Waiting
from replicator.model.store.head import Head, head_json, head_name, head_of, heads_of
from replicator.ports import SignableArea

REMEMBERED_EVERY_S = 60.0
"""Seconds between two writes of a head: what a store loses of the last ones cannot be seen."""


class Witness:
    """The heads of one target's store.

    Args:
        area: Files of another target, or a folder; signed with the keys of this target.
        target: Name of the target whose store it is about.
    """

    def __init__(self, area: SignableArea, target: str) -> None:
        self.area, self._target = area, target

    async def heads(self) -> Sequence[Head]:
        """Return how far each log's history in the store reached.

        Raises:
            CorruptionError: a head was altered, or is not signed by a trusted key.
            TransientError: the witness is unreachable.
        """
        names = await self.area.names(heads_of(self._target))
        return [head_of(name, await self.area.get(name)) for name in names]

    async def head(self, log_id: str) -> Head | None:
        """Return how far one log's history reached; None if that was never remembered.

        Raises:
            CorruptionError, TransientError: as for `heads`.
        """
        name = head_name(self._target, log_id)
        try:
            return head_of(name, await self.area.get(name))
        except NotFoundError:
            return None

    async def remember(self, log_id: str, cut: ClosedCut) -> None:
        """Write that the store has this cut.

        Raises:
            TransientError: the witness is unreachable.
        """
        head = Head(
            target=self._target,
            log_id=log_id,
            offset=cut.offset,
            cut=cut.closed.cut,
            source_time=cut.closed.source_time,
        )
        await self.area.replace(head_name(self._target, log_id), head_json(head))


class HeadKeeper:
    """Keeps the head of one log's history; a witness that cannot be reached stops no target.

    Args:
        witness: Where the head is remembered.
        observer: Receives a store that is older than its head, and a witness that fails.
    """

    def __init__(self, witness: Witness, observer: Observer) -> None:
        self._witness, self._observer = witness, observer
        self._known: Offset | None = None
        self._is_known = False
        self._end = Offset(0)
        self._written_at_s = -REMEMBERED_EVERY_S

    async def compare(self, log_id: str, end: Offset | None) -> None:
        """Say once if a store ends before its head; it is written again from the log.

        Args:
            log_id: The log whose history it is.
            end: Offset at which the history in the store ends; None if there is none.
        """
        if self._is_known:
            return
        try:
            head = await self._witness.head(log_id)
        except CorruptionError as exc:
            self._observer(ArchiveDamaged(reason=str(exc)))
            head = None
        except (TransientError, ConfigError) as exc:
            self._tell(exc)
            return
        self._is_known, self._known = True, None if head is None else head.offset
        self._end = end or self._end
        last = None if end is None else Offset(end - 1)
        if head is not None and head.is_ahead_of(last):
            self._observer(ArchiveDamaged(reason=head.lost(last)))

    async def reached(self, log_id: str, cut: ClosedCut) -> None:
        """Remember that the store has a cut, once a minute; an earlier cut changes nothing."""
        now_s = asyncio.get_running_loop().time()
        is_newer = self._known is None or cut.offset > self._known
        if not self._is_known or not is_newer or now_s < self._written_at_s + REMEMBERED_EVERY_S:
            return
        try:
            await self._witness.remember(log_id, cut)
        except (TransientError, ConfigError) as exc:
            self._tell(exc)
            return
        self._known = cut.offset
        if cut.offset >= self._end:  # `apply --once` first covers the cut that it finds
            self._written_at_s = now_s

    def _tell(self, exc: TransientError | ConfigError) -> None:
        what = "remember how far the store reached"
        self._observer(Waiting(what=what, reason=str(exc), delay_s=0.0))
