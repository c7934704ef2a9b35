"""Remembers elsewhere how far a store's history reached, so that an older store is noticed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from replicator.errors import (
    ConfigError,
    CorruptionError,
    NotFoundError,
    ReplicatorError,
)
from replicator.model.document import written
from replicator.model.event import ClosedCut, Offset
from replicator.model.observed.faults import ArchiveDamaged, Waiting
from replicator.model.store.head import Head, head_json, head_name, head_of, heads_of
from replicator.model.store.testimony import Attested, Testimony, WitnessMemory
from replicator.services.running.patience import Patience

if TYPE_CHECKING:
    from replicator.model.observation import Observer
    from replicator.ports import SignableArea

PROBES = "probes"
"""Folder beside the heads whose files are never read as heads."""
REMEMBERED_EVERY_S = 60.0
"""Seconds between two writes of a head: a loss within this time goes unnoticed."""
WITNESS_ANSWER_MAX_S = 10.0
"""Seconds within which a witness answers a target that goes on without it."""
_Answer = TypeVar("_Answer")


class Witness:
    """The heads of one target's store.

    Args:
        area: Files of another target, or a folder, signed with this target's keys.
        target: Name of the target whose store is remembered.
        name: Name of the witness in messages.
    """

    def __init__(self, area: SignableArea, target: str, name: str) -> None:
        self.area, self._target, self.name = area, target, name

    async def testimony(self, log_id: str, last: Offset, log_ids: Collection[str]) -> Testimony:
        """Return whether a store still has what it had; an unreachable witness is an answer, too.

        Args:
            log_id: The log whose history is to be restored.
            last: Offset of the newest cut of that log in the store.
            log_ids: Ids of all logs with histories in the store; it has lost all cuts of others.
        """
        try:
            heads = await self.heads()
        except ReplicatorError as exc:
            return self._testimony(Attested.UNKNOWN, f"{self._unknown}: {exc}", cause=exc)
        for head in heads:
            if head.log_id in log_ids and head.log_id != log_id:
                continue  # compared when that log is asked for
            if head.is_ahead_of(newest := last if head.log_id == log_id else None):
                return self._testimony(Attested.LOST, head.lost(newest))
        own = next((head for head in heads if head.log_id == log_id), None)
        if own is None:
            nothing = f"{self.name} remembers nothing of log {log_id}"
            return self._testimony(Attested.UNKNOWN, f"{self._unknown}: {nothing}")
        words = f"the store of target {self._target!r} has what {self.name} remembers: {own.words}"
        return self._testimony(Attested.NEWEST, words)

    async def memory(self, log_id: str) -> WitnessMemory:
        """Return what the witness remembers of a log; an unreachable witness is an answer, too."""
        try:
            return WitnessMemory(witness=self.name, head=await self.head(log_id))
        except ReplicatorError as exc:
            return WitnessMemory(witness=self.name, head=None, unknown=str(exc))

    async def probe(self, *, writes: bool) -> Sequence[Head]:
        """Write a file twice, as heads are written, read and remove it; return what is remembered.

        Without `writes` the witness is only read, as on a machine without a private key. A witness
        that locks what it stores keeps the file.

        Raises:
            CorruptionError: the file has other bytes than were written, or a head is not trusted.
            TransientError, ConfigError: the witness is unreachable, or denies reads or writes.
        """
        if writes:
            name, data = f"{PROBES}/{self._target}.json", written({"target": self._target})
            for _ in range(2):
                await self.area.replace(name, data)
            if await self.area.get(name) != data:
                raise CorruptionError(f"{self.name}: other bytes are read than were written")
            with suppress(ConfigError):
                await self.area.delete(name)
        return await self.heads()

    def not_asked(self) -> Testimony:
        """Return what is known when the operator leaves the witness out."""
        return self._testimony(
            Attested.NOT_ASKED,
            f"{self.name} was not asked: nothing proves that the store of target"
            f" {self._target!r} has its newest cuts, and was not put back to an earlier day",
        )

    @property
    def _unknown(self) -> str:
        return f"it is unknown whether the store of target {self._target!r} has its newest cuts"

    def _testimony(
        self, verdict: Attested, text: str, cause: ReplicatorError | None = None
    ) -> Testimony:
        return Testimony(
            target=self._target, witness=self.name, verdict=verdict, text=text, cause=cause
        )

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
        """Remember that the store has this cut.

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
    """Keeps the head of one log's history; an unreachable witness stops no target.

    Args:
        witness: Witness that remembers the head.
        observer: Receives a store that is older than its head, and failures of the witness.
    """

    def __init__(self, witness: Witness, observer: Observer) -> None:
        self._witness, self._observer = witness, observer
        self._known: Offset | None = None
        self._newest: tuple[str, ClosedCut] | None = None
        self._is_known = False
        self._patience = Patience(WITNESS_ANSWER_MAX_S)
        self._end = Offset(0)
        self._written_at_s = -REMEMBERED_EVERY_S

    async def compare(self, log_id: str, end: Offset | None) -> None:
        """Report once if a store ends before its head; the history is written again from the log.

        Args:
            log_id: Log of the history.
            end: Offset at which the history in the store ends; None if there is none.
        """
        if self._is_known:
            return
        try:
            head = await self._answer(partial(self._witness.head, log_id))
        except CorruptionError as exc:
            self._observer(ArchiveDamaged(reason=str(exc)))
            head = None
        except ReplicatorError as exc:
            self._tell(exc)
            return
        # An unreachable witness is asked again at the next cut; only an answer counts as a
        # comparison.
        self._is_known, self._known = True, None if head is None else head.offset
        self._end = end or self._end
        last = None if end is None else Offset(end - 1)
        if head is not None and head.is_ahead_of(last):
            self._observer(ArchiveDamaged(reason=head.lost(last)))

    async def reached(self, log_id: str, cut: ClosedCut) -> None:
        """Remember once a minute that the store has a cut; an earlier cut changes nothing."""
        # Never before the comparison: a store that was put back would overwrite the only proof of
        # what it had.
        if self._is_known and (self._known is None or cut.offset > self._known):
            self._newest = log_id, cut
            await self.settle()

    async def settle(self, *, at_once: bool = False) -> None:
        """Remember the newest cut reached, if a minute has passed, or `at_once`."""
        now_s = asyncio.get_running_loop().time()
        is_due = at_once or now_s >= self._written_at_s + REMEMBERED_EVERY_S
        if self._newest is None or not is_due:
            return
        log_id, cut = self._newest
        try:
            await self._answer(partial(self._witness.remember, log_id, cut))
        except ReplicatorError as exc:
            self._tell(exc)
            return
        self._known, self._newest = cut.offset, None
        if cut.offset >= self._end:  # `apply --once` first covers the cut that it finds
            self._written_at_s = now_s

    async def _answer(self, question: Callable[[], Coroutine[Any, Any, _Answer]]) -> _Answer:
        """Ask the witness, which may be another target's store: one that hangs is left alone."""
        return await self._patience.answer(self._witness.name, question)

    def _tell(self, exc: ReplicatorError) -> None:
        what = "remember how far the store reached"
        self._observer(Waiting(what=what, reason=str(exc), delay_s=0.0))
