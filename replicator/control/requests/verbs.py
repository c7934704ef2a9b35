"""The two unions of all requests: immediate ones, and planned ones."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias, get_args

from pydantic import Field, TypeAdapter, ValidationError

from replicator.control.requests.kept_cuts import (
    HoldCreateRequest,
    HoldRemoveRequest,
    LockRequest,
    PointCreateRequest,
    PointRemoveRequest,
    PointsRotateRequest,
)
from replicator.control.requests.looks import (
    BlameRequest,
    CheckRequest,
    DiffRequest,
    DrillsRequest,
    LogRequest,
    NotificationsRequest,
    PointsRequest,
    StatusRequest,
)
from replicator.control.requests.planned import (
    ExpireRequest,
    FailoverRequest,
    ForgetRenamedRequest,
    Planned,
    PromoteRequest,
    RepairRequest,
    RestoreBesideRequest,
    RestoreRequest,
    RollbackRequest,
    UndeleteRequest,
)
from replicator.control.requests.upkeep import (
    ApplyRequest,
    DrillRequest,
    PauseRequest,
    ResendRequest,
    ResumeRequest,
    TargetCreateRequest,
    VerifyRequest,
    WatchRequest,
)
from replicator.control.requests.verb_request import Flag, VerbRequest
from replicator.errors import RefusedError
from replicator.model.operations.access import Role
from replicator.model.operations.job import Job

AnyJob: TypeAlias = Annotated[
    CheckRequest
    | StatusRequest
    | PointsRequest
    | PointCreateRequest
    | PointRemoveRequest
    | PointsRotateRequest
    | HoldCreateRequest
    | HoldRemoveRequest
    | LogRequest
    | DiffRequest
    | BlameRequest
    | VerifyRequest
    | DrillRequest
    | DrillsRequest
    | LockRequest
    | TargetCreateRequest
    | PauseRequest
    | ResumeRequest
    | ApplyRequest
    | WatchRequest
    | NotificationsRequest
    | ResendRequest,
    Field(discriminator="verb"),
]
"""Requests that are carried out at once."""
AnyPlan: TypeAlias = Annotated[
    RestoreRequest
    | RestoreBesideRequest
    | ForgetRenamedRequest
    | RollbackRequest
    | UndeleteRequest
    | RepairRequest
    | ExpireRequest
    | PromoteRequest
    | FailoverRequest,
    Field(discriminator="verb"),
]
"""Requests that are planned first, then carried out by the plan's digest."""
EVERY: Final[tuple[type[VerbRequest], ...]] = (
    *get_args(get_args(AnyJob)[0]),
    *get_args(get_args(AnyPlan)[0]),
)
AGREEING: Final = frozenset({"--yes", "--dry-run"})
"""Options that select one of the two calls of a planned request."""
_LOOKED_UP: Final = ("hold", "list")
"""A verb that a service answers without a job."""
_OF_FILES: Final = (("restore", "plan"), ("restore", "run"))
"""Verbs about files on the machine where they are typed."""
_ANY: TypeAdapter[VerbRequest] = TypeAdapter(
    Annotated[AnyJob | AnyPlan, Field(discriminator="verb")]
)


def request_of(verb: str, request: Mapping[str, Any]) -> VerbRequest:
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
        return request_of(job.verb, job.request).role
    except RefusedError:  # of another release: its role is unknown
        return Role.ADMIN


def only_looks(job: Job) -> bool:
    """Return whether a job changes nothing, so that any viewer may ask for it."""
    return needed_role(job) is Role.VIEWER


def flags_of(form: type[VerbRequest]) -> dict[str, str]:
    """Return the member for each option of a verb."""
    return {
        mark.name: name
        for name, field in form.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, Flag)
    }


def fixed_of(form: type[VerbRequest]) -> frozenset[str]:
    """Return the options that make a verb this request, like `--pause` of `restore`."""
    return frozenset(word for word in form.words if word.startswith("-"))


def known_of(form: type[VerbRequest]) -> frozenset[str]:
    """Return all options of a verb that a request can express."""
    agreeing = AGREEING if issubclass(form, Planned) else frozenset(form.agreeing)
    return frozenset(flags_of(form)) | fixed_of(form) | agreeing


def forms_of(words: Sequence[str]) -> Iterator[type[VerbRequest]]:
    """Yield the requests for a typed verb."""
    for form in EVERY:
        if [word for word in form.words if not word.startswith("-")] == list(words):
            yield form


def fits(form: type[VerbRequest], options: Collection[str]) -> bool:
    """Return whether a verb with these options is this request."""
    return fixed_of(form) <= set(options) <= known_of(form)


def is_accepted(typed: Sequence[str]) -> bool:
    """Return whether a service accepts a command line, given without the program's name."""
    options = {word.partition("=")[0] for word in typed if word.startswith("--")}
    if tuple(typed[:2]) in _OF_FILES:
        return False
    if tuple(typed[:2]) == _LOOKED_UP:
        return True
    forms = list(forms_of(typed[:2])) or list(forms_of(typed[:1]))
    return any(fits(one, options) for one in forms)
