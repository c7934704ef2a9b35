"""Settings of notifications: their receivers, their topics, and the retries of deliveries."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator
from pydantic import TypeAdapter as Adapter

from replicator.config.retries import RetrySettings
from replicator.config.values import (
    AbsolutePath,
    Delay,
    Duration,
    HttpUrl,
    Positive,
    Section,
    SomeAsTuple,
    secret_in,
    secret_of,
)
from replicator.errors import ConfigError

WebhookName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")]
TopicName = Literal["promise", "gap", "drill", "job", "status"]
TOPICS: tuple[TopicName, ...] = get_args(TopicName)
_URL: Adapter[str] = Adapter(HttpUrl, config={"defer_build": True})


class AddressSettings(Section):
    """An HTTP address to call; many such addresses are secrets themselves."""

    url: HttpUrl | None = None
    """The address, `https://host/path`, if it is not a secret."""
    url_env: Annotated[str, Field(min_length=1)] | None = None
    """Name of the environment variable that holds the address."""
    url_file: AbsolutePath | None = None
    """File that holds the address; it is read for each request, so that it can be changed."""
    ca_file: AbsolutePath | None = None
    """Certificates of the signer of an https address; default: the system's authorities."""
    request_timeout_s: Positive = 10.0
    """Longest wait for an answer, in seconds."""

    @model_validator(mode="after")
    def _one_address(self) -> Self:
        if sum(one is not None for one in (self.url, self.url_env, self.url_file)) != 1:
            raise ValueError("set one of url, url_env and url_file")
        return self

    def address(self, environ: Mapping[str, str]) -> str:
        """Return the address.

        Raises:
            ConfigError: the variable is not set, the file cannot be read, or its text is no
                address.
        """
        if self.url is not None:
            return self.url
        found = (
            secret_in(self.url_file, what="address")
            if self.url_file
            else secret_of(environ, self.url_env or "", what="address", setting="url_env")
        )
        try:
            return _URL.validate_python(found.strip())
        except ValidationError:
            where = self.url_file or self.url_env
            raise ConfigError(f"what {where} holds is no address like https://host/path") from None


class WebhookSettings(AddressSettings):
    """A receiver of notifications."""

    secret_env: Annotated[str, Field(min_length=1)] | None = None
    """Name of the environment variable with the secret that signs notifications."""
    secret_file: AbsolutePath | None = None
    """File with the secret; it is read for each request, so that it can be changed."""
    about: Annotated[tuple[TopicName, ...], SomeAsTuple] = TOPICS
    """Topics of its notifications: promise, gap, drill, job, status; default: all."""

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if (self.secret_env is None) == (self.secret_file is None):
            raise ValueError("set one of secret_env and secret_file: what is sent is signed")
        return self

    def secret(self, environ: Mapping[str, str]) -> str:
        """Return the secret.

        Raises:
            ConfigError: the variable is not set, or the file cannot be read.
        """
        if self.secret_file is not None:
            return secret_in(self.secret_file, what="secret")
        return secret_of(environ, self.secret_env or "", what="secret", setting="secret_env")


class DeadMansSwitchSettings(AddressSettings):
    """A service that raises an alarm when it is not called any more."""

    every: Duration = timedelta(minutes=1)
    """Time between two calls; the service's own limit should be several times as long."""


class NotificationRetrySettings(RetrySettings):
    """When the delivery of a notification is retried."""

    attempts_max: Annotated[int, Field(ge=1, le=1000)] = 20
    """Number of attempts before a notification is kept as dead; 20 take about an hour."""
    delay_initial_s: Positive = 1.0
    """Longest wait before the second attempt, in seconds; it doubles with each further one."""
    delay_max_s: Positive = 600.0
    """Longest wait between two attempts, in seconds."""


class NotificationsSettings(Section):
    """Receivers of notifications about broken promises, gaps, failed jobs and failed drills."""

    folder: AbsolutePath = Path("/var/lib/druid-replicator")
    """Existing folder of the journal, which records sent notifications and those to be sent.

    Its disk must outlive the process: a start without the journal reports everything that is wrong
    again.
    """
    look_interval_s: Positive = 15.0
    """Time between two checks of log and targets, in seconds."""
    settle: Delay = timedelta(minutes=1)
    """How long a promise must be broken, or kept again, before it is reported: it may flap."""
    waiting_max: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Number of notifications that may wait for one webhook; the oldest beyond it are dropped."""
    kept_max: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Number of delivered and dead notifications of each webhook that operators can still list."""
    retry: NotificationRetrySettings = NotificationRetrySettings.defaults()
    """When the delivery of a notification is retried."""
    webhooks: Mapping[WebhookName, WebhookSettings] = {}
    """The receivers, by their names."""
    dead_mans_switch: DeadMansSwitchSettings | None = None
    """Service that is called while all promises are kept; default: none."""

    def journal(self, source: str) -> Path:
        """Return the file of a source's journal."""
        return self.folder / f"notifications-{source}.sqlite"
