"""What is known to be wrong in a target, reported before it becomes the primary."""

from dataclasses import dataclass
from datetime import datetime

from replicator.app.application import Application
from replicator.errors import ReplicatorError
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.store.proof import Proof
from replicator.services.records.proof_record import last_proved


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFaults:
    """Faults of a target that were found before; nothing is looked for."""

    looked_at: datetime
    gaps: tuple[Gap, ...]
    """Rows that it has not, at its cut."""
    bad: Proof | None = None
    """What a `verify` found wrong, and no later one found good."""
    proved_at: datetime | None = None
    """When its rows were last compared with the log and found equal; None: never."""
    unknown: str = ""
    """Why results of `verify` cannot be read; empty: they can."""


async def known_faults(
    application: Application, target: str, checkpoint: Checkpoint
) -> KnownFaults:
    """Return what is known to be wrong in a target at its cut.

    Raises:
        TransientError: its metadata store cannot be reached.
    """
    configured = application.target(target)
    found = await configured.metadata.gaps(application.source.name, checkpoint.log_id)
    gaps = tuple(gap for gap in found if gap.at(checkpoint.offset))
    now = application.clock.now()
    try:
        proved = await last_proved(configured.area(), now=now)
    except ReplicatorError as exc:
        return KnownFaults(looked_at=now, gaps=gaps, unknown=str(exc))
    return KnownFaults(
        looked_at=now,
        gaps=gaps,
        bad=proved.bad,
        proved_at=max(proved.good_at.values(), default=None),
        unknown=proved.unread,
    )
