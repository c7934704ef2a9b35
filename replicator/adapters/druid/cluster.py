"""A cluster's Coordinator and Overlord over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import aiohttp

from replicator.adapters.druid.request import DruidLogin, DruidServers, answered
from replicator.adapters.druid.status import DruidStatus
from replicator.model.druid.cluster_config import aliases_of
from replicator.model.druid.promotion import SupervisorState

OVERLORD, COORDINATOR = "/druid/indexer/v1", "/druid/coordinator/v1"
WHOSE = "a Coordinator, an Overlord or a Router that forwards to them"


@dataclass(frozen=True, slots=True, kw_only=True)
class DruidAddress:
    """The addresses of a cluster's masters, and the login."""

    coordinator_urls: Sequence[str]
    overlord_urls: Sequence[str]
    login: DruidLogin = field(default_factory=DruidLogin)
    request_timeout_s: float = 30.0


class DruidHttp:
    """A `DruidCluster`; each call opens a connection, because calls are few."""

    def __init__(self, address: DruidAddress) -> None:
        self._timeout_s = address.request_timeout_s
        self._status = DruidStatus(
            address.coordinator_urls, address.login, timeout_s=address.request_timeout_s
        )
        self._coordinators = DruidServers(address.coordinator_urls, address.login)
        self._overlords = DruidServers(address.overlord_urls, address.login)

    async def release(self) -> str:
        return await self._status.release()

    async def supervisor(self, id_: str) -> SupervisorState | None:
        path = f"{OVERLORD}/supervisor/{quote(id_, safe='')}/status"
        async with self._overlords.asked("GET", path, timeout_s=self._timeout_s) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            status = (await _json(answer))["payload"]
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
        path = f"{OVERLORD}/supervisor"
        async with self._overlords.asked("POST", path, spec, timeout_s=self._timeout_s) as answer:
            await _json(answer)

    async def tiers(self) -> frozenset[str]:
        path = f"{COORDINATOR}/tiers"
        async with self._coordinators.asked("GET", path, timeout_s=self._timeout_s) as answer:
            return frozenset(await _json(answer))

    async def tier_aliases(self) -> Mapping[str, Sequence[str]]:
        path = f"{COORDINATOR}/config"
        async with self._coordinators.asked("GET", path, timeout_s=self._timeout_s) as answer:
            return aliases_of(await _json(answer))

    async def properties(self) -> Mapping[str, str]:
        path = "/status/properties"
        async with self._coordinators.asked("GET", path, timeout_s=self._timeout_s) as answer:
            return {str(name): str(value) for name, value in (await _json(answer)).items()}


async def _json(answer: aiohttp.ClientResponse) -> Any:
    return await answered(answer, str(answer.url), whose=WHOSE)
