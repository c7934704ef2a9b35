"""Requests to verify targets, create them, and let them follow."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from replicator.config.values import DruidRelease
from replicator.control.requests.verb_request import (
    Argument,
    AtOffset,
    AtPoint,
    AtTime,
    Flag,
    OfDatasource,
    OfLog,
    OfStore,
    OneTarget,
    ProofLevel,
    ShareText,
    Text,
    VerbRequest,
    WithinInterval,
)
from replicator.model.operations.access import Role
from replicator.model.store.testimony import WITHOUT_WITNESS

NotificationId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f-]{1,64}$")]


class VerifyRequest(VerbRequest):
    """Compare a target with the log, or its answers with the source's."""

    words = ("verify",)
    verb: Literal["verify"] = "verify"
    target: OneTarget
    level: Annotated[ProofLevel, Flag("--level")] = ProofLevel.ROWS
    subset: ShareText = "100%"
    rolling: Annotated[bool, Flag("--rolling")] = False
    bytes_max: Annotated[Text | None, Flag("--bytes-max")] = None
    from_store: OfStore = None
    log_id: OfLog = None
    structure: Annotated[bool, Flag("--structure")] = False
    datasource: OfDatasource = None
    interval: WithinInterval = None


class DrillRequest(VerbRequest):
    """Restore a cut from a target's store into a scratch place, and verify it."""

    words = ("drill",)
    verb: Literal["drill"] = "drill"
    target: OneTarget
    to_offset: AtOffset = None
    to_time: AtTime = None
    to_point: AtPoint = None
    random: Annotated[bool, Flag("--random")] = False
    unless_younger: Annotated[Text | None, Flag("--unless-younger")] = None
    """Do nothing while the last good drill is younger than this, like `6d`."""
    log_id: OfLog = None
    without_witness: Annotated[bool, Flag(WITHOUT_WITNESS)] = False
    """Do not consult the store's witness; the evidence says so."""


class TargetCreateRequest(VerbRequest):
    """Create a target's tables and folder, and check its Druid's settings."""

    words, role, exclusive = ("target", "create"), Role.ADMIN, True
    verb: Literal["target create"] = "target create"
    target: OneTarget
    druid_release: Annotated[DruidRelease | None, Flag("--druid-release")] = None
    centralized_schema: Annotated[bool, Flag("--centralized-schema")] = False


class PauseRequest(VerbRequest):
    """Keep a target at its cut until it is resumed."""

    words, exclusive = ("restore", "--pause", "--yes"), True
    verb: Literal["pause"] = "pause"
    target: OneTarget
    to_offset: AtOffset = None
    """The cut that the target was last seen at; another one is refused."""


class ResumeRequest(VerbRequest):
    """Let a target follow the source again."""

    words, exclusive = ("apply", "--resume", "--once"), True
    agreeing = ("--yes",)
    verb: Literal["resume"] = "resume"
    target: OneTarget


class ApplyRequest(VerbRequest):
    """Bring a target to the source's present state; a running applier does that already."""

    words, exclusive = ("apply", "--catch-up"), True
    verb: Literal["apply"] = "apply"
    target: OneTarget
    timeout_s: Annotated[
        float, Field(ge=1, le=604_800, allow_inf_nan=False), Flag("--timeout-s")
    ] = 3600.0


class ResendRequest(VerbRequest):
    """Deliver dead notifications again: the named ones, or all."""

    words = ("notifications", "resend")
    verb: Literal["notifications resend"] = "notifications resend"
    ids: Annotated[tuple[NotificationId, ...], Argument(), Field(max_length=1000)] = ()


class WatchRequest(VerbRequest):
    """Poll the source once; a watcher that runs does it, and continues."""

    words = ("watch", "--once")
    verb: Literal["watch"] = "watch"
