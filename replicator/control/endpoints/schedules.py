"""The route of the schedules: past runs with their results, and the next ones."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from replicator.control.endpoints.views import View
from replicator.control.routes import ApiCall, Reply, Route
from replicator.model.operations.access import Role
from replicator.ports import Clock
from replicator.services.running.patience import Patience
from replicator.services.schedules.states import LineState, ScheduledLine, line_states
from replicator.web.status_json import schedules_json

FRESH: Final = timedelta(seconds=15)
"""Time for which an answer uses the last look at the stores."""


class ScheduleView(View):
    """One schedule of one target."""

    schedule: str
    target: str
    type: str
    cron: str
    time_zone: str
    next_due: datetime
    last_good: datetime | None
    """End of the last good run."""
    last: dict[str, Any] | None
    """The newest run; null: there was none."""
    unknown: str
    """Why the runs cannot be read; empty: they can."""


class SchedulesView(View):
    """All schedules."""

    schedules: list[ScheduleView]


class ScheduleRoutes:
    """Handlers for the schedules, whichever process runs them.

    Args:
        lines: The configured schedules.
        clock: Clock by which the last look ages.
        timeout_s: Time for each target's store to answer, in seconds.
    """

    def __init__(self, lines: Sequence[ScheduledLine], clock: Clock, *, timeout_s: float) -> None:
        self._lines, self._clock, self._patience = lines, clock, Patience(timeout_s)
        self._states: list[LineState] = []
        self._looking = asyncio.Lock()

    def routes(self) -> Iterator[Route]:
        """Yield the route."""
        yield Route(
            method="GET",
            path="/v1/schedules",
            operation="list_schedules",
            summary="Schedules: past runs with their results, and the next ones.",
            handler=self._list,
            role=Role.VIEWER,
            answers={HTTPStatus.OK: SchedulesView},
            tag="status",
        )

    async def _list(self, call: ApiCall) -> Reply:
        async with self._looking:  # requests that come meanwhile wait for the same look
            await self._look()
        states = [one for one in self._states if call.by.may_touch([one.line.target])]
        found = [ScheduleView.model_validate(one) for one in schedules_json(states)]
        return Reply(content=SchedulesView(schedules=found))

    async def _look(self) -> None:
        now = self._clock.now()
        age = now - self._states[0].looked_at if self._states else FRESH
        if not timedelta(0) <= age < FRESH:  # the clock may have been set back
            self._states = await line_states(self._lines, now, self._patience)
