"""Requests that are planned first, then carried out by their plan's digest."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from replicator.config.values import TargetName
from replicator.control.requests.verb_request import (
    Accepting,
    Argument,
    AtOffset,
    AtPoint,
    AtTime,
    BeforeOffset,
    Flag,
    OfDatasource,
    OfLog,
    OfStore,
    OneTarget,
    OnTarget,
    ProofLevel,
    ShareText,
    Text,
    VerbRequest,
    WithinInterval,
)
from replicator.model.operations.access import Role
from replicator.model.store.testimony import WITHOUT_WITNESS


class Planned(VerbRequest):
    """A change or deletion so large that its plan must be read first."""

    exclusive = True
    looks: ClassVar[tuple[str, ...]] = ("--dry-run",)
    """Options with which the verb prints its plan and does nothing."""


class MomentRequest(Planned):
    """Restores something from a moment of the past, which exactly one member names."""

    to_offset: AtOffset = None
    to_time: AtTime = None
    before: BeforeOffset = None
    to_point: AtPoint = None
    latest: Annotated[bool, Flag("--latest")] = False
    ago: Annotated[Text | None, Flag("--ago")] = None
    before_drop: Annotated[Text | None, Flag("--before-drop")] = None
    accept_gaps: Accepting = False


class RestoreRequest(MomentRequest):
    """Bring a target, or one datasource of it, to an earlier cut."""

    words = ("restore",)
    verb: Literal["restore"] = "restore"
    target: Annotated[TargetName | None, Argument()] = None
    """The target whose bytes are used; or `from_store`."""
    datasource: OfDatasource = None
    into: Annotated[TargetName | None, Flag("--into")] = None
    from_store: OfStore = None
    log_id: OfLog = None
    by_reference: Annotated[bool, Flag("--by-reference")] = False
    without_witness: Annotated[bool, Flag(WITHOUT_WITNESS)] = False
    """Do not consult the store's witness: then nothing proves that its cuts are the newest."""
    adopt: Annotated[bool, Flag("--adopt")] = False
    quick: bool = False
    """Plan like `restore --dry-run`: without the storages' answers, duration and price."""


class RestoreBesideRequest(MomentRequest):
    """Restore a datasource under another name, beside the live one."""

    words = ("restore",)
    verb: Literal["restore beside"] = "restore beside"
    target: OneTarget
    rename: Annotated[Text, Flag("--rename")]
    """Both names, as OLD=NEW."""


class ForgetRenamedRequest(Planned):
    """Remove a datasource that was restored under another name."""

    words = ("restore",)
    verb: Literal["forget renamed"] = "forget renamed"
    target: OneTarget
    datasource: Annotated[Text, Flag("--forget-renamed")]


class RollbackRequest(Planned):
    """Return one datasource of a target to an earlier state."""

    words = ("rollback",)
    verb: Literal["rollback"] = "rollback"
    datasource: Annotated[Text, Argument()]
    to: Annotated[Text, Flag("--to")]
    """`before-drop`, `10m ago`, `latest`, a time with its zone, an offset, or a point's name."""
    on: OnTarget
    accept_gaps: Accepting = False


class UndeleteRequest(Planned):
    """Restore a datasource of a target to the time when it last had used segments."""

    words = ("undelete",)
    verb: Literal["undelete"] = "undelete"
    datasource: Annotated[Text, Argument()]
    on: OnTarget
    to_offset: AtOffset = None
    to_time: AtTime = None
    before: BeforeOffset = None
    accept_gaps: Accepting = False


class RepairRequest(Planned):
    """Find damage of a target and copy it again."""

    words = ("repair",)
    verb: Literal["repair"] = "repair"
    target: OneTarget
    level: Annotated[ProofLevel, Flag("--level")] = ProofLevel.CHECKSUM
    subset: ShareText = "100%"
    from_target: Annotated[TargetName | None, Flag("--from")] = None
    datasource: OfDatasource = None
    interval: WithinInterval = None
    bytes_max: Annotated[Text | None, Flag("--bytes-max")] = None
    structure: Annotated[bool, Flag("--structure")] = False


class ExpireRequest(Planned):
    """Delete bytes and history that nothing retained needs."""

    words, role = ("expire",), Role.ADMIN
    verb: Literal["expire"] = "expire"
    target: OneTarget
    retention: Annotated[Text | None, Flag("--retention")] = None
    orphans: Annotated[bool, Flag("--orphans")] = False


class PromoteRequest(Planned):
    """Make a target the primary, without losing anything."""

    words, role = ("promote",), Role.ADMIN
    verb: Literal["promote"] = "promote"
    target: OneTarget
    supervisors: Annotated[tuple[Text, ...], Flag("--supervisor")] = ()
    drain_timeout_s: Annotated[
        float, Field(ge=1, le=604_800, allow_inf_nan=False), Flag("--drain-timeout-s")
    ] = 600.0


class FailoverRequest(Planned):
    """Make a target the primary as it is; its source is gone."""

    words, role = ("failover",), Role.ADMIN
    verb: Literal["failover"] = "failover"
    target: OneTarget
    supervisors: Annotated[tuple[Text, ...], Flag("--supervisor")] = ()
