"""A cluster's Coordinator and Overlord over HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp

from replicator.adapters.druid.request import DruidLogin, DruidServers, answered
from replicator.adapters.druid.status import DruidStatus
from replicator.adapters.transfer.answers import AnswerShape
from replicator.model.druid.cluster_config import aliases_of
from replicator.model.druid.promotion import SupervisorState

OVERLORD, COORDINATOR = "/druid/indexer/v1", "/druid/coordinator/v1"
WHOSE = "a Coordinator, an Overlord or a Router that forwards to them"


_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    startingOffsets: Mapping[str, Any] | None = None  # noqa: N815 - as Druid names it


@dataclass(frozen=True, slots=True, kw_only=True)
class _Payload:
    suspended: bool | None = None
    state: str | None = None
    detailedState: str | None = None  # noqa: N815
    activeTasks: Sequence[_Task] | None = None  # noqa: N815


@dataclass(frozen=True, slots=True, kw_only=True)
class _Status:
    payload: _Payload


_STATUS = AnswerShape[_Status](_Status)
_TIERS = AnswerShape[frozenset[str]](frozenset[str])
_OBJECT = AnswerShape[Mapping[str, Any]](Mapping[str, Any])


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
        async with self._overlords.send("GET", path, timeout_s=self._timeout_s) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return None
            status = (await _read(answer, _STATUS)).payload
        return SupervisorState(
            is_suspended=bool(status.suspended),
            # The detailed state names the reason, such as LOST_CONTACT_WITH_STREAM.
            state=str(status.detailedState or status.state),
            starts=tuple(
                {partition: str(number) for partition, number in starts.items()}
                for task in status.activeTasks or ()
                if (starts := task.startingOffsets)
            ),
        )

    async def supervise(self, spec: bytes) -> None:
        path = f"{OVERLORD}/supervisor"
        async with self._overlords.send("POST", path, spec, timeout_s=self._timeout_s) as answer:
            await _read(answer, _OBJECT)

    async def tiers(self) -> frozenset[str]:
        path = f"{COORDINATOR}/tiers"
        async with self._coordinators.send("GET", path, timeout_s=self._timeout_s) as answer:
            return await _read(answer, _TIERS)

    async def tier_aliases(self) -> Mapping[str, Sequence[str]]:
        path = f"{COORDINATOR}/config"
        async with self._coordinators.send("GET", path, timeout_s=self._timeout_s) as answer:
            return aliases_of(await _read(answer, _OBJECT))

    async def properties(self) -> Mapping[str, str]:
        path = "/status/properties"
        async with self._coordinators.send("GET", path, timeout_s=self._timeout_s) as answer:
            found = await _read(answer, _OBJECT)
        return {name: str(value) for name, value in found.items()}


async def _read(answer: aiohttp.ClientResponse, shape: AnswerShape[_T]) -> _T:
    return await answered(answer, str(answer.url), whose=WHOSE, shape=shape)
