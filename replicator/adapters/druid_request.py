"""One request to a Druid over HTTP, with basic authentication when it has that."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from replicator.adapters.http_proxy import proxy_for
from replicator.errors import ConfigError, TransientError

BODY_SHOWN_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DruidLogin:
    """Who asks, and whose certificate is believed."""

    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: Path | None = None


@asynccontextmanager
async def asked(
    login: DruidLogin, method: str, url: str, body: bytes | None = None, *, timeout_s: float
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send one request, over a connection of its own.

    Raises:
        TransientError: no answer within `timeout_s`.
        ConfigError: the certificate is not believed.
    """
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    if login.username is not None:
        headers["Authorization"] = aiohttp.encode_basic_auth(login.username, login.password or "")
    try:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=timeout_s), headers=headers
            ) as session,
            session.request(
                method, url, data=body, ssl=_tls(login), proxy=proxy_for(url)
            ) as answer,
        ):
            yield answer
    except aiohttp.ClientConnectorCertificateError as exc:
        raise ConfigError(f"{url}: {exc}", hint="name who signed it in druid.ca_file") from exc
    except (aiohttp.ClientError, TimeoutError, OSError) as exc:
        reason = str(exc) or type(exc).__name__
        raise TransientError(f"{method} {url}: {reason}") from exc


async def answered(answer: aiohttp.ClientResponse, url: str, *, whose: str) -> Any:
    """Return what came back.

    Raises:
        TransientError: the server says to try later.
        ConfigError: access is denied, the request is refused, or `whose` address this is not.
    """
    body = await answer.read()
    said = body.decode(errors="replace")[:BODY_SHOWN_CHARS]
    if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        raise ConfigError(
            f"{url}: access is denied ({answer.status})", hint="correct druid.username"
        )
    if answer.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT} or (
        answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        raise TransientError(f"{url} answered {answer.status}: {said}")
    if answer.status >= HTTPStatus.BAD_REQUEST:
        raise ConfigError(f"{url} answered {answer.status}: {said}")
    try:
        return orjson.loads(body)
    except ValueError as exc:
        hint = f"is this the address of {whose}?"
        raise ConfigError(f"{url} did not answer in JSON: {said}", hint=hint) from exc


def _tls(login: DruidLogin) -> ssl.SSLContext | bool:
    if login.ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=login.ca_file)
    except (OSError, ssl.SSLError) as exc:
        raise ConfigError(f"druid.ca_file cannot be used: {exc}") from exc
