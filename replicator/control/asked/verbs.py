"""The two unions of all requests: immediate ones, and planned ones."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias, get_args

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
    NotificationsAsked,
    PointsAsked,
    StatusAsked,
)
from replicator.control.asked.planned import (
    ExpireAsked,
    FailoverAsked,
    ForgetRenamedAsked,
    Planned,
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
    ResendAsked,
    ResumeAsked,
    TargetCreateAsked,
    VerifyAsked,
    WatchAsked,
)
from replicator.control.asked.verb_asked import Flag, VerbAsked
from replicator.errors import RefusedError
from replicator.model.operations.access import Role
from replicator.model.operations.job import Job

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
    | WatchAsked
    | NotificationsAsked
    | ResendAsked,
    Field(discriminator="verb"),
]
"""Requests that are carried out at once."""
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
"""Requests that are planned first, then carried out by the plan's digest."""
EVERY: Final[tuple[type[VerbAsked], ...]] = (
    *get_args(get_args(AnyJob)[0]),
    *get_args(get_args(AnyPlan)[0]),
)
AGREEING: Final = frozenset({"--yes", "--dry-run"})
"""Options that select one of the two calls of a planned request."""
_LOOKED_UP: Final = ("hold", "list")
"""A verb that a service answers without a job."""
_OF_FILES: Final = (("restore", "plan"), ("restore", "run"))
"""Verbs about files on the machine where they are typed."""
_ANY: TypeAdapter[VerbAsked] = TypeAdapter(Annotated[AnyJob | AnyPlan, Field(discriminator="verb")])


def asked_of(verb: str, request: Mapping[str, Any]) -> VerbAsked:
    """Return the request of a stored job or plan.

    Raises:
        RefusedError: this release does not know the request.
    """
    try:
        return _ANY.validate_python(request)
    except ValidationError as exc:
        raise RefusedError(
            f"this release does not know the request for {verb!r}",
            hint="send it again",
        ) from exc


def needed_role(job: Job) -> Role:
    """Return the role needed to end a job or to run it again: that of its request."""
    try:
        return asked_of(job.verb, job.request).role
    except RefusedError:  # of another release: its role is unknown
        return Role.ADMIN


def flags_of(asked: type[VerbAsked]) -> dict[str, str]:
    """Return the member for each option of a verb."""
    return {
        mark.name: name
        for name, field in asked.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Flag)
    }


def fixed_of(asked: type[VerbAsked]) -> frozenset[str]:
    """Return the options that make a verb this request, like `--pause` of `restore`."""
    return frozenset(word for word in asked.words if word.startswith("-"))


def known_of(asked: type[VerbAsked]) -> frozenset[str]:
    """Return all options of a verb that a request can express."""
    agreeing = AGREEING if issubclass(asked, Planned) else frozenset(asked.agreeing)
    return frozenset(flags_of(asked)) | fixed_of(asked) | agreeing


def forms_of(words: Sequence[str]) -> Iterator[type[VerbAsked]]:
    """Yield the requests for a typed verb."""
    for asked in EVERY:
        if [word for word in asked.words if not word.startswith("-")] == list(words):
            yield asked


def fits(asked: type[VerbAsked], options: Collection[str]) -> bool:
    """Return whether a verb with these options is this request."""
    return fixed_of(asked) <= set(options) <= known_of(asked)


def may_be_asked(typed: Sequence[str]) -> bool:
    """Return whether a service accepts a command line, given without the program's name."""
    options = {word.partition("=")[0] for word in typed if word.startswith("--")}
    if tuple(typed[:2]) in _OF_FILES:
        return False
    if tuple(typed[:2]) == _LOOKED_UP:
        return True
    forms = list(forms_of(typed[:2])) or list(forms_of(typed[:1]))
    return any(fits(one, options) for one in forms)
