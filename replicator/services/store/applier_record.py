"""Who may write to a target: an applier that is fenced learns by whom, and when it may go on."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.checkpoint import TargetState
from replicator.model.document import NATURAL, Shape, written
from replicator.model.event import Epoch
from replicator.model.holds import RESTORES, lease_of
from replicator.ports import Area, Clock

NAME = "applier.json"
LOOK_S = 5.0
"""Time between two looks at a target that is paused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _ApplierNote:
    epoch: Annotated[Epoch, NATURAL]


_NOTE = Shape(_ApplierNote, "remove it, the next applier writes it again", formats=None)


class PausedBy(Enum):
    """Why a target's applier does not write."""

    AFTER_RESTORE = auto()
    """A restore has brought the target to a cut, where it stays until it is told to go on."""
    AT_WORK = auto()
    """A restore or a repair is under way."""
    PROMOTED = auto()
    """It is a cluster of its own now."""


class ApplierRecord:
    """Keeps beside a target which epoch its newest applier has.

    Restores, repairs and promotions take an epoch, too, and leave no such note: so a newer epoch
    than that of the newest applier is one of theirs. A restore and a repair hold a lease from
    before they take theirs until after they have written.
    """

    def __init__(self, area: Area, clock: Clock) -> None:
        self._area, self._clock = area, clock

    async def take(self, epoch: Epoch) -> None:
        """Note that an applier has this epoch.

        Raises:
            TransientError, ConfigError: as for `Area`.
        """
        await self._area.replace(NAME, written({"epoch": epoch}, None))

    async def was_taken(self, epoch: Epoch) -> bool:
        """Return whether an applier has this epoch."""
        try:
            return _NOTE.read(NAME, await self._area.get(NAME)).epoch == epoch
        except (NotFoundError, CorruptionError):  # nobody's note: the epoch is taken for another's
            return False

    async def paused_by(self, state: TargetState) -> PausedBy | None:
        """Return why a target is not written to, None when it may be."""
        checkpoint = state.checkpoint
        if checkpoint is not None and checkpoint.promoted:
            return PausedBy.PROMOTED
        if checkpoint is not None and checkpoint.paused:
            return PausedBy.AFTER_RESTORE
        return PausedBy.AT_WORK if await self._is_leased() else None

    async def _is_leased(self) -> bool:
        now = self._clock.now()
        for name in await self._area.names(f"{RESTORES}/"):
            try:
                lease = lease_of(name, await self._area.get(name))
            except (NotFoundError, CorruptionError):  # given back; or an expiry names the damage
                continue
            if lease.valid_until > now:
                return True
        return False
