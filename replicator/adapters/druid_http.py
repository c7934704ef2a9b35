"""A cluster's Coordinator and Overlord over HTTP, with basic authentication when it has that."""

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from replicator.errors import ConfigError, TransientError
from replicator.model.promotion import SupervisorState

BODY_SHOWN_CHARS = 500
OVERLORD, COORDINATOR = "/druid/indexer/v1", "/druid/coordinator/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class DruidAddress:
    """Where a cluster's masters are, and who asks them."""

    coordinator_url: str
    overlord_url: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
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

    @asynccontextmanager
    async def _asked(
        self, method: str, url: str, body: bytes | None = None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        address = self._address
        timeout = aiohttp.ClientTimeout(total=address.request_timeout_s)
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if address.username is not None:
            login = aiohttp.encode_basic_auth(address.username, address.password or "")
            headers["Authorization"] = login
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=headers) as session,
                session.request(method, url, data=body, ssl=self._tls()) as answer,
            ):
                yield answer
        except aiohttp.ClientConnectorCertificateError as exc:
            raise ConfigError(f"{url}: {exc}", hint="name who signed it in druid.ca_file") from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            reason = str(exc) or type(exc).__name__
            raise TransientError(f"{method} {url}: {reason}") from exc

    def _tls(self) -> ssl.SSLContext | bool:
        if self._address.ca_file is None:
            return True
        try:
            return ssl.create_default_context(cafile=self._address.ca_file)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(f"druid.ca_file cannot be used: {exc}") from exc


async def _json(answer: aiohttp.ClientResponse, url: str) -> Any:
    body = await answer.read()
    said = body.decode(errors="replace")[:BODY_SHOWN_CHARS]
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise ConfigError(
            f"{url}: access is denied ({answer.status})", hint="correct druid.username"
        )
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TransientError(f"{url} answered {answer.status}: {said}")
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise ConfigError(f"{url} answered {answer.status}: {said}")
    try:
        return orjson.loads(body)
    except ValueError as exc:
        hint = (
            "is this the address of a Coordinator, an Overlord or a Router that forwards to them?"
        )
        raise ConfigError(f"{url} did not answer in JSON: {said}", hint=hint) from exc
