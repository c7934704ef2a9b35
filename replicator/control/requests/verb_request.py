"""A request for one verb, and its command line.

A request never carries typed arguments: each member stands for one option that is named here, is
checked before a job is made of it, and reaches the verb as one argument.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, StringConstraints

from replicator.config.values import TargetName
from replicator.control.routes import RequestBody
from replicator.model.operations.access import Role

LIST_MAX = 100_000
OFFSET_MAX = 10**18 - 1


class Flag:
    """Marks a member that is an option of the verb."""

    def __init__(self, name: str) -> None:
        self.name = name


class Argument:
    """Marks a member that is an argument of the verb."""


Text = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^[^\x00-\x1f]+$")]
"""An operator's word or one of Druid's names: without control characters, limited in length."""
Named = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""The name of a point or a hold."""
TierText = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,10}=[0-9.]{1,10}[a-z]{1,2}$")]
"""A tier of a rotation, like `day=90d`."""
OffsetNumber = Annotated[int, Field(ge=0, le=OFFSET_MAX)]
Limit = Annotated[int, Field(ge=1, le=LIST_MAX)]
LogIdText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class VerbRequest(RequestBody):
    """Request for one verb."""

    words: ClassVar[tuple[str, ...]]
    """The verb as it is typed."""
    agreeing: ClassVar[tuple[str, ...]] = ()
    """Options that answer the verb's question: a request to a service is the operator's consent."""
    role: ClassVar[Role] = Role.OPERATOR
    """The role that the request needs."""
    exclusive: ClassVar[bool] = False
    """Whether the verb changes its targets, so that each has at most one such job at a time."""

    @property
    def name(self) -> str:
        """The verb's name in jobs."""
        verb: str = getattr(self, "verb", self.words[0])
        return verb

    @property
    def touched(self) -> tuple[str, ...]:
        """The configured targets that the request names."""
        return touched_by(dict(self))

    @property
    def changed(self) -> tuple[str, ...]:
        """The targets that only one exclusive job may have at a time."""
        for member in ("into", "on", "target"):
            if isinstance(value := getattr(self, member, None), str):
                return (value,)
        return self.touched

    def arguments(self) -> list[str]:
        """Return the verb with its options, then its arguments after `--`."""
        options, places = list[str](), list[str]()
        for member, field in type(self).model_fields.items():
            value = getattr(self, member)
            for mark in field.metadata:
                if isinstance(mark, Flag):
                    options += _option(mark.name, value)
                elif isinstance(mark, Argument) and value is not None:
                    places += map(str, value) if isinstance(value, tuple) else [str(value)]
        return [*self.words, *self.agreeing, *options, *(["--", *places] if places else [])]


def touched_by(request: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the targets that a request names, even if another release stored the request.

    A job's own list is shorter: the targets that no second job may have at a time. A principal who
    may not see all targets of the request must not see the job's output either.
    """
    found: list[str] = []
    for member in ("target", "into", "on", "from_target", "from_store", "targets"):
        value = request.get(member)
        found += [value] if isinstance(value, str) else value or ()
    return tuple(dict.fromkeys(found))


def _option(name: str, value: Any) -> list[str]:
    match value:
        case None | False:
            return []
        case True:
            return [name]
        case list() | tuple():
            return [f"{name}={one}" for one in value]
        case StrEnum():
            return [f"{name}={value.value}"]
        case _:
            return [f"{name}={value}"]


class ProofLevel(StrEnum):
    """How thorough a proof is."""

    ROWS = "rows"
    EXISTS = "exists"
    CHECKSUM = "checksum"
    QUERY = "query"


ShareText = Annotated[str, StringConstraints(pattern=r"^[0-9.]{1,12}%$"), Flag("--subset")]
OneTarget = Annotated[TargetName, Argument()]
OnTarget = Annotated[TargetName, Flag("--on")]
AtOffset = Annotated[OffsetNumber | None, Flag("--to-offset")]
AtTime = Annotated[Text | None, Flag("--to-time")]
AtPoint = Annotated[Named | None, Flag("--to-point")]
BeforeOffset = Annotated[OffsetNumber | None, Flag("--before")]
OfDatasource = Annotated[Text | None, Flag("--datasource")]
WithinInterval = Annotated[Text | None, Flag("--interval")]
OfStore = Annotated[TargetName | None, Flag("--from")]
OfLog = Annotated[LogIdText | None, Flag("--log")]
Accepting = Annotated[bool, Flag("--accept-gaps")]
