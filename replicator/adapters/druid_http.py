"""A cluster's Coordinator and Overlord over HTTP."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import aiohttp

from replicator.adapters.druid_request import DruidLogin, answered, asked
from replicator.model.promotion import SupervisorState

OVERLORD, COORDINATOR = "/druid/indexer/v1", "/druid/coordinator/v1"
WHOSE = "a Coordinator, an Overlord or a Router that forwards to them"


@dataclass(frozen=True, slots=True, kw_only=True)
class DruidAddress:
    """Where a cluster's masters are, and who asks them."""

    coordinator_url: str
    overlord_url: str
    login: DruidLogin = field(default_factory=DruidLogin)
    request_timeout_s: float = 30.0


class DruidHttp:
    """A `DruidCluster`; each call is a connection of its own, for they are few."""

    def __init__(self, address: DruidAddress) -> None:
        self._address = address

    async def supervisor(self, id_: str) -> SupervisorState | None:
        url = f"{self._address.overlord_url}{OVERLORD}/supervisor/{id_}/status"
        async with self._asked("GET", url) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            status = (await _json(answer, url))["payload"]
        return SupervisorState(
            is_suspended=bool(status.get("suspended")),
            state=str(status.get("detailedState") or status.get("state")),
            starts=tuple(
                {str(partition): str(number) for partition, number in starts.items()}
                for task in status.get("activeTasks") or ()
                if (starts := task.get("startingOffsets"))
            ),
        )

    async def supervise(self, spec: bytes) -> None:
        url = f"{self._address.overlord_url}{OVERLORD}/supervisor"
        async with self._asked("POST", url, spec) as answer:
            await _json(answer, url)

    async def tiers(self) -> frozenset[str]:
        url = f"{self._address.coordinator_url}{COORDINATOR}/tiers"
        async with self._asked("GET", url) as answer:
            return frozenset(await _json(answer, url))

    async def properties(self) -> Mapping[str, str]:
        url = f"{self._address.coordinator_url}/status/properties"
        async with self._asked("GET", url) as answer:
            return {str(name): str(value) for name, value in (await _json(answer, url)).items()}

    def _asked(
        self, method: str, url: str, body: bytes | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        timeout_s = self._address.request_timeout_s
        return asked(self._address.login, method, url, body, timeout_s=timeout_s)


async def _json(answer: aiohttp.ClientResponse, url: str) -> Any:
    return await answered(answer, url, whose=WHOSE)
