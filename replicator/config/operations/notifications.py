"""Settings of notifications: who is told of what, and how long delivery is tried."""

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
    """An address that is called; many such addresses are secrets by themselves."""

    url: HttpUrl | None = None
    """`https://host/path`, if it is no secret."""
    url_env: Annotated[str, Field(min_length=1)] | None = None
    """Name of the environment variable that holds the address."""
    url_file: AbsolutePath | None = None
    """File that holds the address; it is read for each request, so it can be changed."""
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
            ConfigError: the variable is not set, the file cannot be read, or it is no address.
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
    """Name of the environment variable with the secret that signs what is sent."""
    secret_file: AbsolutePath | None = None
    """File with the secret; it is read for each request, so it can be changed."""
    about: Annotated[tuple[TopicName, ...], SomeAsTuple] = TOPICS
    """What it is told of: promise, gap, drill, job, status; default: all."""

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
    """A service that raises an alarm when calls to it cease."""

    every: Duration = timedelta(minutes=1)
    """Time between two calls; the service's own limit should be several times as long."""


class NotificationRetrySettings(RetrySettings):
    """When a notification is sent again."""

    attempts_max: Annotated[int, Field(ge=1, le=1000)] = 20
    """Attempts before it is given up and kept as dead; 20 take about an hour."""
    delay_initial_s: Positive = 1.0
    """Longest wait before the second attempt, in seconds; it doubles with each further one."""
    delay_max_s: Positive = 600.0
    """Longest wait between two attempts, in seconds."""


class NotificationsSettings(Section):
    """Who is told when a promise breaks, a gap opens, a job or a drill fails."""

    folder: AbsolutePath = Path("/var/lib/druid-replicator")
    """Folder of the journal: what was told, and what is still to be delivered.

    It is not made, and must be on a disk that outlives the process: without its journal a start
    tells everything that is wrong again.
    """
    look_interval_s: Positive = 15.0
    """Time between two looks at log and targets, in seconds."""
    settle: Delay = timedelta(minutes=1)
    """How long a promise must be broken, or kept again, before it is reported: it may flap."""
    waiting_max: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Notifications that may wait for one webhook; beyond that the oldest are dropped."""
    kept_max: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Delivered and dead notifications of each webhook that are kept for operators."""
    retry: NotificationRetrySettings = NotificationRetrySettings.defaults()
    """When a notification is sent again."""
    webhooks: Mapping[WebhookName, WebhookSettings] = {}
    """The receivers, by their names."""
    dead_mans_switch: DeadMansSwitchSettings | None = None
    """What is called as long as all promises are kept; default: nothing."""

    def journal(self, source: str) -> Path:
        """Return the file of a source's journal."""
        return self.folder / f"notifications-{source}.sqlite"
