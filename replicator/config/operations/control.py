"""Settings of the control API: its port, its clients, and the limits of its jobs."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from replicator.config.values import (
    AbsolutePath,
    Address,
    AsTuple,
    Duration,
    Positive,
    Section,
    Size,
    TargetName,
    nothing_is_empty,
)

ClientName = Annotated[str, Field(min_length=1, max_length=200)]


class ControlTlsSettings(Section):
    """Certificate of the service, and the authority of its clients' certificates."""

    certificate_file: AbsolutePath
    """Certificate chain of the service (PEM); read again when the file changes."""
    key_file: AbsolutePath
    """Its private key (PEM)."""
    client_ca_file: AbsolutePath | None = None
    """Authority of the clients' certificates; default: clients authenticate by token only."""
    reload_interval_s: Positive = 10.0
    """Time between two checks of the files, in seconds; a renewed certificate is used after it."""


class ControlClientSettings(Section):
    """Rights of a client certificate, whose holder needs no token."""

    role: Literal["viewer", "operator", "admin"]
    """Role of the client."""
    targets: Annotated[tuple[TargetName, ...], AsTuple] = ()
    """Targets that the client may see and change; default: all."""


class ControlJobsSettings(Section):
    """Limits of the service's jobs."""

    running_max: Annotated[int, Field(ge=1, le=64)] = 2
    """Number of jobs that run at once; each is a process of its own, of at least 150 MB."""
    queued_max: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Number of jobs that wait for their turn; further ones are refused with 429."""
    kept_max: Annotated[int, Field(ge=10, le=1_000_000)] = 1_000
    """Number of ended jobs whose results are kept; older ones are deleted."""
    kept_bytes_max: Annotated[Size, Field(ge=1 << 16, le=1 << 40)] = 512 << 20
    """Size of all these results, and of all plans; beyond it, the oldest of the principal
    that has most go."""
    answer_bytes_max: Annotated[Size, Field(ge=1 << 16, le=1 << 30)] = 16 << 20
    """Largest document of a job; a verb with a larger one fails, and `limit` makes it smaller."""
    plan_valid: Duration = timedelta(hours=1)
    """How long a plan can be carried out by its digest."""
    wait_max_s: Annotated[float, Field(ge=0, le=60)] = 30.0
    """Longest wait of one request for the end of a job, in seconds."""


class ControlSettings(Section):
    """An HTTP API that runs verbs, for clients with a token or a certificate."""

    listen: Address
    """`host:port`, like 127.0.0.1:9465; port 0 takes a free one.

    An address that other machines can reach requires `tls`.
    """
    folder: AbsolutePath | None = None
    """Folder of jobs, tokens and the audit log; default: `<log.path>.control` beside an SQLite log.

    With a log in Kafka it is required. It is created, for this user alone, if its parent exists.
    """
    tls: ControlTlsSettings | None = None
    """Encryption; without it the service only listens at addresses of this machine."""
    without_tls: bool = False
    """Whether other machines may connect without `tls`, because a proxy in front encrypts."""
    clients: Annotated[
        Mapping[ClientName, ControlClientSettings], BeforeValidator(nothing_is_empty)
    ] = {}
    """Client certificates and their rights, by common name or by one of the DNS names."""
    jobs: ControlJobsSettings = ControlJobsSettings.defaults()
    """Limits of the service's jobs."""
    body_bytes_max: Annotated[Size, Field(ge=1024, le=16 << 20)] = 64 << 10
    """Largest body of a request."""
    connections_max: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Number of open connections; one more closes the oldest of the stranger who has the most."""
    failed_logins_max: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Number of wrong tokens from one address in a minute; further requests get 429."""
    audit_bytes_max: Annotated[Size, Field(ge=1 << 16, le=1 << 40)] = 64 << 20
    """Size at which the audit log's file is rotated; two rotated files are kept."""

    audit_kept: Duration = timedelta(days=365)
    """How long the audit log is kept in the targets' stores."""

    @model_validator(mode="after")
    def _private(self) -> Self:
        if self.clients and (self.tls is None or self.tls.client_ca_file is None):
            raise ValueError("clients needs tls.client_ca_file: who has signed their certificates")
        host = self.listen.rpartition(":")[0].strip("[]")
        is_near = host in {"localhost", "::1"} or host.startswith("127.")
        if self.tls is None and not is_near and not self.without_tls:
            raise ValueError(
                f"listen: {host} is not an address of this machine alone, and without tls tokens"
                " would cross the network in the open; configure tls, or say without_tls: true"
                " if a proxy in front encrypts"
            )
        return self
