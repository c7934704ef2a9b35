"""Addresses of a cluster's own Druid, for what is not in its metadata store."""

from typing import Annotated

from pydantic import Field

from replicator.config.values import AbsolutePath, HttpUrls, Password, Positive

RESUME_TIMEOUT_S = 300.0
"""How long a supervisor may take to have running tasks, where nobody says it."""


class DruidLoginSettings(Password):
    """Who asks a Druid, and how long it may take."""

    username: Annotated[str, Field(min_length=1)] | None = None
    """User for basic authentication; default: none."""
    ca_file: AbsolutePath | None = None
    """Certificates of the signer of an https URL; default: the system's authorities."""


class SourceDruidSettings(DruidLoginSettings):
    """The source's Broker; a user that may read its datasources is enough."""

    broker_url: HttpUrls
    """`http://host:8082`, or that of a Router; a list when there are several."""


class DruidSettings(DruidLoginSettings):
    """A target's Coordinator, Overlord and Broker."""

    coordinator_url: HttpUrls
    """`http://host:8081`, or that of a Router that forwards to it; a list when there are several.

    Another one is asked when one is gone or does not lead; the same for the other servers.
    """
    overlord_url: HttpUrls | None = None
    """`http://host:8090`; default: the Coordinator, which may be the Overlord too."""
    broker_url: HttpUrls | None = None
    """`http://host:8082`, or a Router's; needed to compare its answers with the source's."""
    request_timeout_s: Positive = 30.0
    """Longest wait for an answer, in seconds."""
    resume_timeout_s: Positive = RESUME_TIMEOUT_S
    """Longest wait for the tasks of a started supervisor, in seconds.

    It counts from the last one that was seen to go on, however many there are.
    """
