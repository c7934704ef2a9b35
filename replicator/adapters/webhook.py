"""Requests to addresses that operators configure: webhooks, and a dead man's switch."""

import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp
from yarl import URL

from replicator.adapters.tls import distrust_hint, trusting
from replicator.adapters.transfer.http_proxy import proxy_for
from replicator.adapters.transfer.http_session import retry_after_s
from replicator.errors import ConfigError, TransientError
from replicator.model.operations.shown import printable

ANSWER_SHOWN_BYTES = 200
"""Number of bytes of a failed answer that the operator sees; hardly more is read."""
SECRET_CHARACTERS_MIN = 6
"""Length from which a part of an address may be secret."""
USER_AGENT = "druid-replicator"
REDIRECTS = range(300, 400)


def without_address(text: str, url: str) -> str:
    """Return an answer without the parts of an address that it repeats, as many servers do."""
    parts = urlsplit(url)
    written = [parts.path, *parts.path.split("/"), parts.query, *parts.query.split("&")]
    written += [value for _, value in parse_qsl(parts.query)]
    found = {form for one in written for form in (one, unquote(one))}
    for part in sorted(found, key=len, reverse=True):
        if len(part) >= SECRET_CHARACTERS_MIN:
            text = text.replace(part, "…")
    return text


class HttpCaller:
    """A `Caller`; each request has a connection of its own, because there are few.

    Args:
        address: Returns the address for each request: a file that holds it may have changed.
        ca_file: Authorities that are trusted; None: the system's.
        timeout_s: Longest wait for an answer.
    """

    def __init__(
        self, address: Callable[[], str], *, ca_file: Path | None, timeout_s: float
    ) -> None:
        self._address, self._ca_file, self._timeout_s = address, ca_file, timeout_s

    async def post(self, body: bytes, headers: Mapping[str, str]) -> None:
        url = self._address()
        host = urlsplit(url).netloc
        try:
            await self._post(url, host, body, headers)
        except aiohttp.ClientConnectorCertificateError as exc:
            raise ConfigError(
                f"the certificate of {host} is not trusted: {exc.certificate_error}",
                hint=distrust_hint(str(exc.certificate_error), "name its CA in ca_file"),
            ) from None
        except TimeoutError:
            raise TransientError(f"{host} did not answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as exc:
            # aiohttp's message contains the URL, which may be a secret
            raise TransientError(f"{host} cannot be reached: {_why(exc)}") from None

    async def _post(self, url: str, host: str, body: bytes, headers: Mapping[str, str]) -> None:
        async with (
            aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_s), auto_decompress=False
            ) as session,
            session.post(
                URL(url, encoded=True),
                data=body,
                headers={"User-Agent": USER_AGENT, **headers},
                allow_redirects=False,
                ssl=self._tls(),
                proxy=proxy_for(url),
            ) as answer,
        ):
            if answer.status in REDIRECTS:
                raise TransientError(
                    f"{host} redirects, which is not followed (status {answer.status})",
                    hint="configure the address that it redirects to",
                )
            if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                body_read = await answer.content.read(ANSWER_SHOWN_BYTES + len(url))
                safe = without_address(body_read.decode(errors="replace"), url)
                words = printable(safe[:ANSWER_SHOWN_BYTES]).strip()
                raise TransientError(
                    f"{host} answered {answer.status}: {words}".rstrip(": "),
                    retry_after_s=retry_after_s(answer.headers),
                )

    def _tls(self) -> ssl.SSLContext | bool:
        if self._ca_file is None:
            return True
        try:
            return trusting(self._ca_file)
        except OSError as exc:
            raise ConfigError(f"ca_file {self._ca_file} cannot be read: {exc}") from None


def _why(exc: Exception) -> str:
    if isinstance(exc, aiohttp.ClientConnectorError):
        return exc.os_error.strerror or type(exc.os_error).__name__
    return type(exc).__name__
