"""Addresses of a cluster's Druid, for everything that is not in its metadata store."""

from typing import Annotated

from pydantic import Field

from replicator.config.values import AbsolutePath, HttpUrls, Password, Positive

RESUME_TIMEOUT_S = 300.0
"""Default of the time that a started supervisor may take until its tasks run."""


class DruidLoginSettings(Password):
    """Login at a Druid, and the trust in its certificate."""

    username: Annotated[str, Field(min_length=1)] | None = None
    """User of basic authentication; default: no login."""
    ca_file: AbsolutePath | None = None
    """Certificates of the signer of an https URL; default: the system's authorities."""


class SourceDruidSettings(DruidLoginSettings):
    """The source's Broker; its user only needs to read datasources."""

    broker_url: HttpUrls
    """URL of the Broker, `http://host:8082`, or of a Router; a list if there are several."""


class DruidSettings(DruidLoginSettings):
    """A target's Coordinator, Overlord and Broker."""

    coordinator_url: HttpUrls
    """URL of the Coordinator, `http://host:8081`, or of a Router; a list if there are several.

    The next one is asked if one is gone or does not lead; the same holds for the other servers.
    """
    overlord_url: HttpUrls | None = None
    """URL of the Overlord, `http://host:8090`; default: the Coordinator, which may act as one."""
    broker_url: HttpUrls | None = None
    """URL of the Broker or of a Router; its answers are compared with the source's."""
    request_timeout_s: Positive = 30.0
    """Longest wait for an answer, in seconds."""
    resume_timeout_s: Positive = RESUME_TIMEOUT_S
    """Longest wait for the tasks of started supervisors, in seconds.

    The wait starts anew with each supervisor that was seen to continue.
    """
