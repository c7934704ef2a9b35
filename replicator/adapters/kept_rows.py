"""The replicator's own rows in a target's database, checked as they are read.

Whoever can write to that database can write anything there: a row that is none of ours is damage of
this target, and no defect of the program.
"""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Final

from replicator.errors import CorruptionError
from replicator.model.checkpoint import Checkpoint, TargetState
from replicator.model.document import NATURAL, Shape, Time
from replicator.model.event import Epoch

HINT: Final = (
    "somebody else has written there: put the row back from a copy; or remove it, and `replicator"
    " apply TARGET --once --adopt` compares the target anew"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """Everything of a state but its checkpoint."""

    epoch: Annotated[Epoch, NATURAL]
    applied_at: Time | None
    store: str | None


_OWNER, _CHECKPOINT = Shape(_Owner, HINT), Shape(Checkpoint, HINT)


def state_of(database: str, table: str, row: Mapping[str, Any]) -> TargetState:
    """Return the state that a row of checkpoints holds.

    Args:
        database: Name of the database in messages.
        table: Name of the table in messages.
        row: Its columns; times have their zones.

    Raises:
        CorruptionError: a value is none of ours; the message names it.
    """
    with sound(database, table):
        owner = _OWNER.checked({name: row[name] for name in ("epoch", "applied_at", "store")})
        return TargetState(
            checkpoint=None if row["log_id"] is None else _CHECKPOINT.checked(row),
            epoch=owner.epoch,
            applied_at=owner.applied_at,
            store=owner.store,
        )


@contextmanager
def sound(database: str, table: str) -> Generator[None]:
    """Translate what our own rows raise that do not hold what we write.

    Raises:
        CorruptionError: one does not.
    """
    try:
        yield
    except (ValueError, TypeError, OverflowError) as exc:
        raise CorruptionError(
            f"{database}: a row of {table} cannot be read: {exc}", hint=HINT
        ) from exc
