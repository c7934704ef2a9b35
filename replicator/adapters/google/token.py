"""Access tokens for Google Cloud, from google-auth's chain of credentials on this machine."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google.auth
import requests
from google.auth.credentials import Credentials
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from replicator.adapters.machine.threads import Threads
from replicator.adapters.transfer.http_proxy import proxy_for
from replicator.errors import ConfigError, TransientError
from replicator.ports import Effective

SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"

ODD = (KeyError, ValueError, TypeError, AttributeError, OverflowError)
"""What an answer raises that google-auth cannot read."""


class GoogleToken:
    """Provides the headers of a request; renews a token before it expires.

    Without a key file, google-auth looks at GOOGLE_APPLICATION_CREDENTIALS, the gcloud
    configuration, workload identity federation and the metadata server.
    """

    def __init__(self, *, key_file: Path | None, anonymous: bool) -> None:
        self._key_file, self._anonymous = key_file, anonymous
        self._credentials: Credentials | None = None
        self._threads = Threads(
            "what gives tokens for Google", threads_max=1, hint="look at google-auth's settings"
        )

    async def headers(self) -> Mapping[str, str]:
        """Return the headers that authenticate a request.

        Raises:
            ConfigError: there are no credentials.
            TransientError: the token server is unreachable.
        """
        if self._anonymous:
            return {}
        if self._credentials is None or not self._credentials.valid:
            self._credentials = await self._threads.answered(self._fresh)
        return {"Authorization": f"Bearer {self._credentials.token}"}

    async def identity(self) -> Effective:
        """Return the tokens' identity."""
        if self._anonymous:
            return Effective(name="identity", value="nobody", origin="configuration")
        await self.headers()
        name = getattr(self._credentials, "service_account_email", "") or "a user's login"
        if self._key_file is not None:
            return Effective(name="identity", value=name, origin="configuration, key_file")
        file = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
        origin = "google-auth" if not file else "environment, GOOGLE_APPLICATION_CREDENTIALS"
        return Effective(name="identity", value=name, origin=origin)

    def _fresh(self) -> Credentials:
        credentials = self._credentials or self._found()
        try:
            with _TokenSession() as session:
                credentials.refresh(Request(session))
        except GoogleAuthError as exc:
            error = TransientError if exc.retryable else ConfigError
            raise error(f"Google gives no access token: {exc}") from exc
        except ODD as exc:
            raise TransientError(
                f"Google gives no access token: the answer is not what it answers: {exc!r}"
            ) from exc
        return credentials

    def _found(self) -> Credentials:
        try:
            if self._key_file is not None:
                found: Credentials = service_account.Credentials.from_service_account_file(
                    str(self._key_file), scopes=[SCOPE]
                )
                return found
            with _TokenSession() as session:
                credentials, _ = google.auth.default(scopes=[SCOPE], request=Request(session))
        except (GoogleAuthError, OSError, ValueError) as exc:
            raise ConfigError(
                f"no credentials for Google Cloud Storage: {exc}",
                hint="set key_file, or GOOGLE_APPLICATION_CREDENTIALS",
            ) from exc
        ours: Credentials = credentials
        return ours


class _TokenSession(requests.Session):
    """Uses the same proxy as all other requests."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = _as_it_is  # without it requests looks for a login in ~/.netrc

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        found = super().merge_environment_settings(url, proxies, stream, verify, cert)
        proxy = proxy_for(url)
        return {**found, "proxies": {} if proxy is None else {"http": proxy, "https": proxy}}


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
