"""The two unions of all requests: what is done at once, and what is planned first."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError

from replicator.control.asked.kept_cuts import (
    HoldCreateAsked,
    HoldRemoveAsked,
    LockAsked,
    PointCreateAsked,
    PointRemoveAsked,
    PointsRotateAsked,
)
from replicator.control.asked.looks import (
    BlameAsked,
    CheckAsked,
    DiffAsked,
    DrillsAsked,
    LogAsked,
    PointsAsked,
    StatusAsked,
)
from replicator.control.asked.planned import (
    ExpireAsked,
    FailoverAsked,
    ForgetRenamedAsked,
    PromoteAsked,
    RepairAsked,
    RestoreAsked,
    RestoreBesideAsked,
    RollbackAsked,
    UndeleteAsked,
)
from replicator.control.asked.upkeep import (
    ApplyAsked,
    DrillAsked,
    PauseAsked,
    ResumeAsked,
    TargetCreateAsked,
    VerifyAsked,
    WatchAsked,
)
from replicator.control.asked.verb_asked import VerbAsked
from replicator.errors import RefusedError

AnyJob: TypeAlias = Annotated[
    CheckAsked
    | StatusAsked
    | PointsAsked
    | PointCreateAsked
    | PointRemoveAsked
    | PointsRotateAsked
    | HoldCreateAsked
    | HoldRemoveAsked
    | LogAsked
    | DiffAsked
    | BlameAsked
    | VerifyAsked
    | DrillAsked
    | DrillsAsked
    | LockAsked
    | TargetCreateAsked
    | PauseAsked
    | ResumeAsked
    | ApplyAsked
    | WatchAsked,
    Field(discriminator="verb"),
]
"""What is done at once."""
AnyPlan: TypeAlias = Annotated[
    RestoreAsked
    | RestoreBesideAsked
    | ForgetRenamedAsked
    | RollbackAsked
    | UndeleteAsked
    | RepairAsked
    | ExpireAsked
    | PromoteAsked
    | FailoverAsked,
    Field(discriminator="verb"),
]
"""What is planned first, then carried out by the plan's digest."""
_ANY: TypeAdapter[VerbAsked] = TypeAdapter(Annotated[AnyJob | AnyPlan, Field(discriminator="verb")])


def asked_of(verb: str, request: Mapping[str, Any]) -> VerbAsked:
    """Return what a kept job or plan was asked for.

    Raises:
        RefusedError: this release does not know it any more.
    """
    try:
        return _ANY.validate_python(request)
    except ValidationError as exc:
        raise RefusedError(
            f"what {verb!r} was asked for is not known to this release",
            hint="ask for it anew",
        ) from exc
