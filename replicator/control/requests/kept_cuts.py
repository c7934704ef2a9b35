"""Requests to name cuts, and to keep them from expiring."""

from typing import Annotated, Literal

from pydantic import Field

from replicator.config.values import TargetName
from replicator.control.requests.verb_request import (
    Argument,
    AtOffset,
    AtPoint,
    AtTime,
    BeforeOffset,
    Flag,
    Named,
    OneTarget,
    OnTarget,
    Text,
    TierText,
    VerbRequest,
)
from replicator.model.operations.access import Role


class PointCreateRequest(VerbRequest):
    """Name a cut, by default the newest one."""

    words = ("points", "create")
    verb: Literal["points create"] = "points create"
    name_of_point: Annotated[Named, Argument()] = Field(alias="name")
    to_offset: AtOffset = None
    to_time: AtTime = None
    before: BeforeOffset = None
    targets: Annotated[tuple[TargetName, ...], Flag("--target")] = ()


class PointRemoveRequest(VerbRequest):
    """Forget a name; the cut stays."""

    words = ("points", "remove")
    verb: Literal["points remove"] = "points remove"
    name_of_point: Annotated[Named, Argument()] = Field(alias="name")
    targets: Annotated[tuple[TargetName, ...], Flag("--target")] = ()


class PointsRotateRequest(VerbRequest):
    """Name the newest cut in a target's store, and keep older points grandfather-father-son."""

    words = ("points", "rotate")
    verb: Literal["points rotate"] = "points rotate"
    target: OneTarget
    tiers: Annotated[list[TierText], Field(min_length=1, max_length=20), Flag("--tier")]
    prefix: Annotated[Named, Flag("--prefix")] = "auto"
    time_zone: Annotated[Text | None, Flag("--time-zone")] = None


class HoldCreateRequest(VerbRequest):
    """Keep a cut from expiring, by default the target's newest one."""

    words = ("hold", "create")
    verb: Literal["hold create"] = "hold create"
    name_of_hold: Annotated[Named, Argument()] = Field(alias="name")
    on: OnTarget
    reason: Annotated[Text, Flag("--reason")]
    to_point: AtPoint = None
    to_offset: AtOffset = None
    to_time: AtTime = None
    until: Annotated[Text | None, Flag("--until")] = None


class HoldRemoveRequest(VerbRequest):
    """Let a cut expire like any other."""

    words, role = ("hold", "remove"), Role.ADMIN
    agreeing = ("--yes",)
    verb: Literal["hold remove"] = "hold remove"
    name_of_hold: Annotated[Named, Argument()] = Field(alias="name")
    on: OnTarget


class LockRequest(VerbRequest):
    """Lock everything that a target's store must keep, for its retention from now."""

    words = ("lock",)
    verb: Literal["lock"] = "lock"
    target: OneTarget
