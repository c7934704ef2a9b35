"""Routes that answer from what the service has seen already: nothing is asked for their sake."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus

from replicator.config import TargetSettings
from replicator.control.access.audit import AuditLog
from replicator.control.endpoints.views import (
    DeedsQuery,
    DeedsView,
    PrincipalView,
    StatusView,
    TargetsView,
    TargetView,
)
from replicator.control.routes import ApiCall, Reply, Route
from replicator.model.operations.access import Role
from replicator.ports import Clock
from replicator.services.monitoring.poller import Poller
from replicator.web.document import SCHEMA
from replicator.web.status_json import failure_json, lookout_json, target_json


class LookRoutes:
    """Status, targets, and who asked for what.

    Args:
        poller: Has looked at log and targets.
        targets: The configured ones.
        audit: Remembers who asked for what.
        clock: Stamps the documents.
    """

    def __init__(
        self,
        *,
        poller: Poller,
        targets: Mapping[str, TargetSettings],
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._poller, self._targets = poller, targets
        self._audit, self._clock = audit, clock

    def routes(self) -> Iterator[Route]:
        """Yield them."""
        yield Route(
            method="GET",
            path="/v1/status",
            operation="get_status",
            summary="What was seen last of the log and the targets.",
            handler=self._status,
            role=Role.VIEWER,
            answers={HTTPStatus.OK: StatusView},
            tag="status",
        )
        yield Route(
            method="GET",
            path="/v1/targets",
            operation="list_targets",
            summary="The configured targets.",
            handler=self._list,
            role=Role.VIEWER,
            answers={HTTPStatus.OK: TargetsView},
            tag="status",
        )
        yield Route(
            method="GET",
            path="/v1/targets/{target}",
            operation="get_target",
            summary="One target.",
            handler=self._target,
            role=Role.VIEWER,
            answers={HTTPStatus.OK: TargetView},
            tag="status",
        )
        yield Route(
            method="GET",
            path="/v1/whoami",
            operation="who_am_i",
            summary="What a token or a certificate may do.",
            handler=self._whoami,
            role=Role.VIEWER,
            answers={HTTPStatus.OK: PrincipalView},
        )
        yield Route(
            method="GET",
            path="/v1/audit",
            operation="list_audit",
            summary="Who asked for what.",
            handler=self._deeds,
            role=Role.ADMIN,
            query=DeedsQuery,
            answers={HTTPStatus.OK: DeedsView},
        )

    async def _status(self, call: ApiCall) -> Reply:
        content = lookout_json(self._poller)
        result = content.get("result")
        if result is not None:
            may = call.by.may_touch
            result["targets"] = [one for one in result["targets"] if may([one["target"]])]
            result["failures"] = [
                one
                for one in result["failures"]
                if one["what"] == "log" or may([one["what"].removeprefix("target ")])
            ]
        found = {"schema": SCHEMA, "command": "status", "generated_at": self._clock.now()}
        return Reply(content=StatusView.model_validate({**found, **content}))

    async def _list(self, call: ApiCall) -> Reply:
        names = [name for name in sorted(self._targets) if call.by.may_touch([name])]
        return Reply(content=TargetsView(targets=[self._view(name) for name in names]))

    async def _target(self, call: ApiCall) -> Reply:
        return Reply(content=self._view(call.path["target"]))

    async def _whoami(self, call: ApiCall) -> Reply:
        who = call.by
        targets = None if who.targets is None else sorted(who.targets)
        return Reply(content=PrincipalView(name=who.name, role=who.role.value, targets=targets))

    async def _deeds(self, call: ApiCall) -> Reply:
        if call.by.targets is not None:
            return Reply(content=DeedsView(deeds=[]))
        found = await self._audit.newest(call.queried(DeedsQuery).limit)
        return Reply(content=DeedsView(deeds=found))

    def _view(self, name: str) -> TargetView:
        seen, failure = self._poller.seen.get(name), self._poller.failures.get(name)
        return TargetView(
            name=name,
            has_metadata=self._targets[name].metadata is not None,
            seen=None if seen is None else {**target_json(seen.status), "looked_at": seen.at},
            failure=None if failure is None else failure_json(failure),
        )
