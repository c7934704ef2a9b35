"""The route of webhook notifications: delivered, waiting and given up."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field

from replicator.control.endpoints.views import View
from replicator.control.routes import ApiCall, Reply, Route
from replicator.model.operations.access import Role
from replicator.ports.notifications import DeliveryState, Journal
from replicator.web.deliveries import delivery_json


class NotificationsQuery(BaseModel):
    """Selects the listed notifications."""

    model_config = ConfigDict(extra="forbid")
    state: DeliveryState | None = None
    limit: int = Field(default=100, ge=1, le=1000)


class NotificationView(View):
    """One notification to one webhook."""

    id: str
    webhook: str
    type: str
    target: str | None
    summary: str
    made_at: datetime
    state: DeliveryState
    attempts: int
    """Number of failed attempts."""
    next_at: datetime
    error: str
    """Error of the last attempt; empty: none has failed."""


class NotificationsView(View):
    """The newest notifications, newest first."""

    webhooks: list[str]
    """Names of the configured webhooks."""
    total: int
    """Number of notifications in this state."""
    notifications: list[NotificationView]


class NotificationRoutes:
    """Handlers for the journal that all processes of this machine share.

    Args:
        journal: Journal of notifications; None: none are configured.
        webhooks: Names of the configured webhooks.
    """

    def __init__(self, journal: Journal | None, webhooks: Sequence[str]) -> None:
        self._journal, self._webhooks = journal, webhooks

    def routes(self) -> Iterator[Route]:
        """Yield the route."""
        yield Route(
            method="GET",
            path="/v1/notifications",
            operation="list_notifications",
            summary="Notifications of webhooks: delivered, waiting and given up.",
            handler=self._list,
            role=Role.VIEWER,
            query=NotificationsQuery,
            answers={HTTPStatus.OK: NotificationsView},
            tag="status",
        )

    async def _list(self, call: ApiCall) -> Reply:
        query = call.queried(NotificationsQuery)
        found = [] if self._journal is None else await self._journal.listed(query.state)
        shown = [delivery_json(one) for one in reversed(found)]
        if (mine := call.by.targets) is not None:
            shown = [one for one in shown if one["target"] in mine]
        newest = [NotificationView.model_validate(one) for one in shown[: query.limit]]
        webhooks = [] if mine is not None else sorted(self._webhooks)
        return Reply(
            content=NotificationsView(webhooks=webhooks, total=len(shown), notifications=newest)
        )
