"""What may be asked for from afar: one typed request for each verb, and the command line it makes.

A request never carries arguments as they are typed: each of its members stands for one option that
is named here, is checked before a job is made of it, and reaches the verb as one argument.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import (
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from replicator.config.values import DruidRelease, TargetName
from replicator.control.routes import RequestBody
from replicator.errors import RefusedError
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
"""A word of an operator or a name of Druid's: no control characters, and not without an end."""
Named = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""A name of a point or a hold."""
TierText = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,10}=[0-9.]{1,10}[a-z]{1,2}$")]
"""A tier of a rotation, like `day=90d`."""
OffsetNumber = Annotated[int, Field(ge=0, le=OFFSET_MAX)]
Limit = Annotated[int, Field(ge=1, le=LIST_MAX)]
LogIdText = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class VerbAsked(RequestBody):
    """What one verb is asked to do."""

    words: ClassVar[tuple[str, ...]]
    """The verb as it is typed."""
    role: ClassVar[Role] = Role.OPERATOR
    """What is needed to ask for it."""
    exclusive: ClassVar[bool] = False
    """Whether it changes its targets, so that no second such job may have one of them."""

    @property
    def name(self) -> str:
        """The verb's name, as a job has it."""
        verb: str = getattr(self, "verb", self.words[0])
        return verb

    @property
    def touched(self) -> tuple[str, ...]:
        """The configured targets that the request names."""
        found: list[str] = []
        for member in ("target", "into", "on", "from_target", "from_store", "targets"):
            value = getattr(self, member, None)
            found += [value] if isinstance(value, str) else value or ()
        return tuple(dict.fromkeys(found))

    @property
    def changed(self) -> tuple[str, ...]:
        """Those of them that only one exclusive job may have at a time."""
        for member in ("into", "on", "target"):
            if isinstance(value := getattr(self, member, None), str):
                return (value,)
        return self.touched

    def arguments(self) -> list[str]:
        """Return the verb with its options, then its arguments behind `--`."""
        options, places = list[str](), list[str]()
        for member, field in type(self).model_fields.items():
            value = getattr(self, member)
            for mark in field.metadata:
                if isinstance(mark, Flag):
                    options += _option(mark.name, value)
                elif isinstance(mark, Argument) and value is not None:
                    places.append(str(value))
        return [*self.words, *options, *(["--", *places] if places else [])]


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
    """How deep a proof looks."""

    ROWS = "rows"
    EXISTS = "exists"
    CHECKSUM = "checksum"
    QUERY = "query"


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


class CheckAsked(VerbAsked):
    """Read the source and the log; write a probe to each target."""

    words = ("check",)
    verb: Literal["check"] = "check"


class StatusAsked(VerbAsked):
    """All that `status` says; the API's own `/v1/status` costs nothing."""

    words, role = ("status",), Role.VIEWER
    verb: Literal["status"] = "status"


class PointsAsked(VerbAsked):
    """All of `points`, of a store alone as well; the API's own `/v1/points` costs nothing."""

    words, role = ("points",), Role.VIEWER
    verb: Literal["points"] = "points"
    from_store: OfStore = None
    log_id: OfLog = None
    limit: Annotated[Limit, Flag("--limit")] = 20
    all_cuts: Annotated[bool, Flag("--all")] = False


class PointCreateAsked(VerbAsked):
    """Give a cut a name, by default the newest one."""

    words = ("points", "create")
    verb: Literal["points create"] = "points create"
    name_of_point: Annotated[Named, Argument()] = Field(alias="name")
    to_offset: AtOffset = None
    to_time: AtTime = None
    before: BeforeOffset = None
    targets: Annotated[tuple[TargetName, ...], Flag("--target")] = ()


class PointRemoveAsked(VerbAsked):
    """Forget a name; the cut stays."""

    words = ("points", "remove")
    verb: Literal["points remove"] = "points remove"
    name_of_point: Annotated[Named, Argument()] = Field(alias="name")
    targets: Annotated[tuple[TargetName, ...], Flag("--target")] = ()


class PointsRotateAsked(VerbAsked):
    """Name the newest cut in a target's store, and keep older points grandfather-father-son."""

    words = ("points", "rotate")
    verb: Literal["points rotate"] = "points rotate"
    target: OneTarget
    tiers: Annotated[list[TierText], Field(min_length=1, max_length=20), Flag("--tier")]
    prefix: Annotated[Named, Flag("--prefix")] = "auto"
    time_zone: Annotated[Text | None, Flag("--time-zone")] = None


class HoldCreateAsked(VerbAsked):
    """Keep a cut from expiring."""

    words = ("hold", "create")
    verb: Literal["hold create"] = "hold create"
    name_of_hold: Annotated[Named, Argument()] = Field(alias="name")
    on: OnTarget
    reason: Annotated[Text, Flag("--reason")]
    to_point: AtPoint = None
    to_offset: AtOffset = None
    to_time: AtTime = None
    until: Annotated[Text | None, Flag("--until")] = None


class HoldRemoveAsked(VerbAsked):
    """Let a cut expire like any other."""

    words, role = ("hold", "remove"), Role.ADMIN
    verb: Literal["hold remove"] = "hold remove"
    name_of_hold: Annotated[Named, Argument()] = Field(alias="name")
    on: OnTarget


class LogAsked(VerbAsked):
    """Events of the log."""

    words, role = ("log",), Role.VIEWER
    verb: Literal["log"] = "log"
    start: Annotated[OffsetNumber, Flag("--from")] = 0
    end: Annotated[OffsetNumber | None, Flag("--to")] = None
    limit: Annotated[Limit, Flag("--limit")] = 1000
    datasource: OfDatasource = None
    type: Annotated[Text | None, Flag("--type")] = None


class DiffAsked(VerbAsked):
    """Rows that differ between two cuts: offsets, times with their zone, or `latest`."""

    words, role = ("diff",), Role.VIEWER
    verb: Literal["diff"] = "diff"
    before: Annotated[Text, Argument()]
    after: Annotated[Text, Argument()]
    limit: Annotated[Limit, Flag("--limit")] = 1000


class BlameAsked(VerbAsked):
    """What changed a datasource or a segment, when, and who had asked for it."""

    words, role = ("blame",), Role.VIEWER
    verb: Literal["blame"] = "blame"
    subject: Annotated[Text, Argument()] = Field(alias="name")
    interval: WithinInterval = None
    limit: Annotated[Limit, Flag("--limit")] = 100


class VerifyAsked(VerbAsked):
    """Compare a target with the log, or its answers with the source's."""

    words = ("verify",)
    verb: Literal["verify"] = "verify"
    target: OneTarget
    level: Annotated[ProofLevel, Flag("--level")] = ProofLevel.ROWS
    subset: Annotated[str, StringConstraints(pattern=r"^[0-9.]{1,12}%$"), Flag("--subset")] = "100%"
    rolling: Annotated[bool, Flag("--rolling")] = False
    bytes_max: Annotated[Text | None, Flag("--bytes-max")] = None
    from_store: OfStore = None
    log_id: OfLog = None
    structure: Annotated[bool, Flag("--structure")] = False
    datasource: OfDatasource = None
    interval: WithinInterval = None


class DrillAsked(VerbAsked):
    """Restore a cut from a target's store into a scratch place and verify it."""

    words = ("drill",)
    verb: Literal["drill"] = "drill"
    target: OneTarget
    to_offset: AtOffset = None
    to_time: AtTime = None
    to_point: AtPoint = None
    random: Annotated[bool, Flag("--random")] = False
    log_id: OfLog = None


class DrillsAsked(VerbAsked):
    """The evidence of former drills."""

    words, role = ("drill", "list"), Role.VIEWER
    verb: Literal["drill list"] = "drill list"
    target: Annotated[TargetName | None, Argument()] = None
    limit: Annotated[Annotated[int, Field(ge=1, le=1000)], Flag("--limit")] = 20


class LockAsked(VerbAsked):
    """Lock all that a target's store must keep, for its retention from now."""

    words = ("lock",)
    verb: Literal["lock"] = "lock"
    target: OneTarget


class TargetCreateAsked(VerbAsked):
    """Make a target's tables and folder, and check its Druid's settings."""

    words, role, exclusive = ("target", "create"), Role.ADMIN, True
    verb: Literal["target create"] = "target create"
    target: OneTarget
    druid_release: Annotated[DruidRelease | None, Flag("--druid-release")] = None
    centralized_schema: Annotated[bool, Flag("--centralized-schema")] = False


class PauseAsked(VerbAsked):
    """Leave a target at the cut that it is at, until it is resumed."""

    words, exclusive = ("restore", "--pause", "--yes"), True
    verb: Literal["pause"] = "pause"
    target: OneTarget
    to_offset: AtOffset = None
    """The cut; default: the one that the target was last seen at."""


class ResumeAsked(VerbAsked):
    """Let a target follow the source again."""

    words, exclusive = ("apply", "--resume", "--once"), True
    verb: Literal["resume"] = "resume"
    target: OneTarget


class ApplyAsked(VerbAsked):
    """Bring a target to what the source holds now; whoever follows already does the work."""

    words, exclusive = ("apply", "--catch-up"), True
    verb: Literal["apply"] = "apply"
    target: OneTarget
    timeout_s: Annotated[
        float, Field(ge=1, le=604_800, allow_inf_nan=False), Flag("--timeout-s")
    ] = 3600.0


class WatchAsked(VerbAsked):
    """Poll the source once."""

    words = ("watch", "--once")
    verb: Literal["watch"] = "watch"


class Planned(VerbAsked):
    """What changes or deletes so much that somebody has to read its plan first."""

    exclusive = True
    looks: ClassVar[tuple[str, ...]] = ("--dry-run",)
    """What makes the verb print its plan and do nothing."""
    agreed: ClassVar[tuple[str, ...]]
    """Members of the plan that must be the same when it is carried out, dotted."""


class RestoreAsked(Planned):
    """Bring a target, or one datasource of it, to an earlier cut."""

    words = ("restore",)
    agreed = ("plan.offset", "plan.segments", "plan.other_rows", "plan.rows_removed")
    verb: Literal["restore"] = "restore"
    target: Annotated[TargetName | None, Argument()] = None
    """The target whose bytes are used; or `from_store`."""
    to_offset: AtOffset = None
    to_time: AtTime = None
    before: BeforeOffset = None
    to_point: AtPoint = None
    latest: Annotated[bool, Flag("--latest")] = False
    ago: Annotated[Text | None, Flag("--ago")] = None
    before_drop: Annotated[Text | None, Flag("--before-drop")] = None
    datasource: OfDatasource = None
    into: Annotated[TargetName | None, Flag("--into")] = None
    from_store: OfStore = None
    log_id: OfLog = None
    by_reference: Annotated[bool, Flag("--by-reference")] = False
    adopt: Annotated[bool, Flag("--adopt")] = False
    accept_gaps: Accepting = False
    quick: bool = False
    """Plan as `restore --dry-run` does: without the storages' answers, the time and the price."""


class RestoreBesideAsked(Planned):
    """Restore a datasource beside the live one, by another name."""

    words, agreed = ("restore",), ("plan.offset", "plan.segments", "plan.other_rows")
    verb: Literal["restore beside"] = "restore beside"
    target: OneTarget
    rename: Annotated[Text, Flag("--rename")]
    """OLD=NEW."""
    to_offset: AtOffset = None
    to_time: AtTime = None
    before: BeforeOffset = None
    to_point: AtPoint = None
    latest: Annotated[bool, Flag("--latest")] = False
    ago: Annotated[Text | None, Flag("--ago")] = None
    before_drop: Annotated[Text | None, Flag("--before-drop")] = None
    accept_gaps: Accepting = False


class ForgetRenamedAsked(Planned):
    """Remove a datasource that was restored beside the live one."""

    words, agreed = ("restore",), ("plan.rows_removed", "plan.original")
    verb: Literal["forget renamed"] = "forget renamed"
    target: OneTarget
    datasource: Annotated[Text, Flag("--forget-renamed")]


class RollbackAsked(Planned):
    """Bring one datasource of a target back to what it was."""

    words = ("rollback",)
    agreed = ("plan.offset", "plan.segments", "plan.other_rows", "plan.rows_removed")
    verb: Literal["rollback"] = "rollback"
    datasource: Annotated[Text, Argument()]
    to: Annotated[Text, Flag("--to")]
    """`before-drop`, `10m ago`, `latest`, a time with its zone, an offset, or a point's name."""
    on: OnTarget
    accept_gaps: Accepting = False


class UndeleteAsked(Planned):
    """Bring a datasource back on a target as it was when it last had used segments."""

    words = ("undelete",)
    agreed = ("plan.offset", "plan.segments", "plan.other_rows", "plan.rows_removed")
    verb: Literal["undelete"] = "undelete"
    datasource: Annotated[Text, Argument()]
    on: OnTarget
    to_offset: AtOffset = None
    to_time: AtTime = None
    before: BeforeOffset = None
    accept_gaps: Accepting = False


class RepairAsked(Planned):
    """Find what is wrong with a target and copy it again."""

    words = ("repair",)
    agreed = ()
    verb: Literal["repair"] = "repair"
    target: OneTarget
    level: Annotated[ProofLevel, Flag("--level")] = ProofLevel.CHECKSUM
    from_target: Annotated[TargetName | None, Flag("--from")] = None
    datasource: OfDatasource = None
    interval: WithinInterval = None
    bytes_max: Annotated[Text | None, Flag("--bytes-max")] = None


class ExpireAsked(Planned):
    """Delete bytes and history that nothing retained needs."""

    words, role = ("expire",), Role.ADMIN
    agreed = ("plan.horizon", "plan.places", "plan.history_files", "plan.bases", "plan.holds")
    verb: Literal["expire"] = "expire"
    target: OneTarget
    retention: Annotated[Text | None, Flag("--retention")] = None
    orphans: Annotated[bool, Flag("--orphans")] = False


class PromoteAsked(Planned):
    """Make a target the primary, with nothing lost."""

    words, role, agreed = ("promote",), Role.ADMIN, ("supervisors", "left_suspended")
    verb: Literal["promote"] = "promote"
    target: OneTarget
    supervisors: Annotated[tuple[Text, ...], Flag("--supervisor")] = ()
    drain_timeout_s: Annotated[
        float, Field(ge=1, le=604_800, allow_inf_nan=False), Flag("--drain-timeout-s")
    ] = 600.0


class FailoverAsked(Planned):
    """Make a target the primary as it is; its source is gone."""

    words, role = ("failover",), Role.ADMIN
    agreed = ("offset", "supervisors", "left_suspended")
    verb: Literal["failover"] = "failover"
    target: OneTarget
    supervisors: Annotated[tuple[Text, ...], Flag("--supervisor")] = ()


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
