"""Requests that change nothing."""

from typing import Annotated, Literal

from pydantic import Field

from replicator.config.values import TargetName
from replicator.control.requests.verb_request import (
    Argument,
    Flag,
    Limit,
    OfDatasource,
    OffsetNumber,
    OfLog,
    OfStore,
    Text,
    VerbRequest,
    WithinInterval,
)
from replicator.model.operations.access import Role
from replicator.ports.notifications import DeliveryState


class CheckRequest(VerbRequest):
    """Read the source and the log; write a probe to each target."""

    words = ("check",)
    verb: Literal["check"] = "check"


class StatusRequest(VerbRequest):
    """Everything that `status` shows; the API's own `/v1/status` costs nothing."""

    words, role = ("status",), Role.VIEWER
    verb: Literal["status"] = "status"


class PointsRequest(VerbRequest):
    """Everything that `points` shows, also for a store alone; `/v1/points` costs nothing."""

    words, role = ("points",), Role.VIEWER
    verb: Literal["points"] = "points"
    from_store: OfStore = None
    log_id: OfLog = None
    limit: Annotated[Limit, Flag("--limit")] = 20
    all_cuts: Annotated[bool, Flag("--all")] = False


class LogRequest(VerbRequest):
    """Events of the log: the newest, or the first ones from `start`."""

    words, role = ("log",), Role.VIEWER
    verb: Literal["log"] = "log"
    start: Annotated[OffsetNumber | None, Flag("--from")] = None
    end: Annotated[OffsetNumber | None, Flag("--to")] = None
    limit: Annotated[Limit, Flag("--limit")] = 1000
    datasource: OfDatasource = None
    type: Annotated[Text | None, Flag("--type")] = None


class DiffRequest(VerbRequest):
    """Rows that differ between two cuts: offsets, times with their zone, or `latest`."""

    words, role = ("diff",), Role.VIEWER
    verb: Literal["diff"] = "diff"
    before: Annotated[Text, Argument()]
    after: Annotated[Text, Argument()]
    limit: Annotated[Limit, Flag("--limit")] = 1000


class BlameRequest(VerbRequest):
    """What changed a datasource or a segment, when, and who requested the change."""

    words, role = ("blame",), Role.VIEWER
    verb: Literal["blame"] = "blame"
    subject: Annotated[Text, Argument()] = Field(alias="name")
    interval: WithinInterval = None
    limit: Annotated[Limit, Flag("--limit")] = 100


class NotificationsRequest(VerbRequest):
    """What was sent to webhooks; the API's own `/v1/notifications` costs nothing."""

    words, role = ("notifications", "list"), Role.VIEWER
    verb: Literal["notifications list"] = "notifications list"
    state: Annotated[DeliveryState | None, Flag("--state")] = None


class DrillsRequest(VerbRequest):
    """The evidence of earlier drills."""

    words, role = ("drill", "list"), Role.VIEWER
    verb: Literal["drill list"] = "drill list"
    target: Annotated[TargetName | None, Argument()] = None
    limit: Annotated[Annotated[int, Field(ge=1, le=1000)], Flag("--limit")] = 20
