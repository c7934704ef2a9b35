"""Routes that answer from what the service has seen: they send no requests of their own."""

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
from replicator.errors import TransientError
from replicator.model.operations.access import Role
from replicator.ports import Clock
from replicator.services.monitoring.trouble import Trouble
from replicator.web.panorama import Panorama
from replicator.web.status_json import failure_json, target_json
from replicator.web.status_report import report_json


class LookRoutes:
    """Handlers for status, targets and the audit log.

    Args:
        panorama: The last look at everything.
        targets: The configured targets.
        audit: The audit log.
        clock: Clock that dates the documents.
    """

    def __init__(
        self,
        *,
        panorama: Panorama,
        targets: Mapping[str, TargetSettings],
        audit: AuditLog,
        clock: Clock,
    ) -> None:
        self._panorama, self._poller = panorama, panorama.poller
        self._targets = targets
        self._audit, self._clock = audit, clock

    def routes(self) -> Iterator[Route]:
        """Yield the routes."""
        yield Route(
            method="GET",
            path="/v1/status",
            operation="get_status",
            summary="The document of `status --json`, as last seen.",
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
            summary="The permissions of a token or a certificate.",
            handler=self._whoami,
            role=Role.VIEWER,
            answers={HTTPStatus.OK: PrincipalView},
        )
        yield Route(
            method="GET",
            path="/v1/audit",
            operation="list_audit",
            summary="The audit log.",
            handler=self._deeds,
            role=Role.ADMIN,
            query=DeedsQuery,
            answers={HTTPStatus.OK: DeedsView},
        )

    async def _status(self, call: ApiCall) -> Reply:
        await self._panorama.settled()
        if (report := self._panorama.report) is None:
            raise TransientError(
                "log and targets have not been read yet", hint="try again in a few seconds"
            )
        mine = report if call.by.targets is None else report.of(call.by.targets)
        result = report_json(mine, Trouble.typed)
        return Reply(content=StatusView(generated_at=self._clock.now(), result=result))

    async def _list(self, call: ApiCall) -> Reply:
        await self._panorama.settled()
        names = [name for name in sorted(self._targets) if call.by.may_touch([name])]
        return Reply(content=TargetsView(targets=[self._view(name) for name in names]))

    async def _target(self, call: ApiCall) -> Reply:
        await self._panorama.settled()
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
            seen=None if seen is None else target_json(seen.status),
            failure=None if failure is None else failure_json(failure),
        )
