"""Records which applier owns a target: a fenced applier learns why, and when it may continue."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.checkpoint import TargetState
from replicator.model.document import NATURAL, Shape, written
from replicator.model.event import Epoch
from replicator.model.store.holds import RESTORES, lease_of
from replicator.ports import Area, Clock
from replicator.services.running.lease_watch import LeaseWatch

NAME = "applier.json"
LOOK_S = 5.0
"""Seconds between two reads of the state of a paused target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ApplierNote:
    epoch: Annotated[Epoch, NATURAL]
    lasts: bool = True
    """Whether the applier goes on until it is stopped; one of `apply --once` ends by itself."""


_NOTE = Shape(_ApplierNote, "remove it, the next applier writes it again", formats=None)


class PausedBy(Enum):
    """Why a target's applier does not write."""

    AFTER_RESTORE = auto()
    """A restore has brought the target to a cut, where it stays until the operator resumes it."""
    AT_WORK = auto()
    """A restore or a repair is running."""
    PROMOTED = auto()
    """The target is a cluster of its own now."""


class ApplierRecord:
    """Keeps beside a target the epoch of its newest applier.

    Restores, repairs and promotions take epochs too and leave no such record, so an epoch newer
    than the newest applier's belongs to one of them. A restore and a repair hold a lease from
    before they take their epoch until after they have written. An applier that ends by itself says
    so: `apply --resume --once` is typed beside a `run` that may not have noticed the restore yet.
    """

    def __init__(self, area: Area, clock: Clock) -> None:
        self._area, self._clock = area, clock
        self._watch = LeaseWatch()

    async def take(self, epoch: Epoch, *, lasts: bool) -> None:
        """Record that an applier has this epoch, and whether it goes on until it is stopped.

        Raises:
            TransientError, ConfigError: as for `Area`.
        """
        await self._area.replace(NAME, written({"epoch": epoch, "lasts": lasts}, None))

    async def was_taken(self, epoch: Epoch) -> bool:
        """Return whether an applier that goes on has this epoch."""
        try:
            note = _NOTE.read(NAME, await self._area.get(NAME))
        except (NotFoundError, CorruptionError):  # no record: the epoch is not an applier's
            return False
        return note.lasts and note.epoch == epoch

    async def paused_by(self, state: TargetState) -> PausedBy | None:
        """Return why a target must not be written to; None if it may be."""
        checkpoint = state.checkpoint
        if checkpoint is not None and checkpoint.promoted:
            return PausedBy.PROMOTED
        if checkpoint is not None and checkpoint.paused:
            return PausedBy.AFTER_RESTORE
        return PausedBy.AT_WORK if await self._is_leased() else None

    async def _is_leased(self) -> bool:
        names = await self._area.names(f"{RESTORES}/")
        self._watch.keep(frozenset(names))
        return any([await self._is_at_work(name) for name in names])

    async def _is_at_work(self, name: str) -> bool:
        """Return whether a restore or a repair runs, as far as its lease tells.

        One whose clock was ahead has ended, too, when it was watched for as long as the lease lasts
        without being renewed. One that is believed to have ended, and has not, is fenced.
        """
        try:
            lease = lease_of(name, await self._area.get(name))
        except (NotFoundError, CorruptionError):  # released; an expiry reports damage
            return False
        unchanged_s = self._watch.seconds(name, lease)
        is_silent = lease.lasts_s > 0 and unchanged_s >= lease.lasts_s
        return lease.valid_until > self._clock.now() and not is_silent
