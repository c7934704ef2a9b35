"""What can be set about the control API: its port, who gets in, and the limits of its jobs."""

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
    """How the service proves who it is, and perhaps how its clients do."""

    certificate_file: AbsolutePath
    """Certificate chain of the service (PEM); read again when the file changes."""
    key_file: AbsolutePath
    """Its private key (PEM)."""
    client_ca_file: AbsolutePath | None = None
    """Signer of the clients' certificates; default: clients need none, a token is their proof."""
    reload_interval_s: Positive = 10.0
    """Time between two looks at the files, in seconds: a renewed certificate is used from then."""


class ControlClientSettings(Section):
    """What the holder of one client certificate may do, without a token."""

    role: Literal["viewer", "operator", "admin"]
    """What it may do."""
    targets: Annotated[tuple[TargetName, ...], AsTuple] = ()
    """The only targets that it may see and change; default: all."""


class ControlJobsSettings(Section):
    """How much work the service takes on."""

    running_max: Annotated[int, Field(ge=1, le=64)] = 2
    """Jobs that run at once; each is a process of its own, of some 150 MB and more."""
    queued_max: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Jobs that wait for their turn; one more is refused with 429."""
    kept_max: Annotated[int, Field(ge=10, le=1_000_000)] = 1_000
    """Ended jobs whose results are kept; older ones are forgotten."""
    kept_bytes_max: Annotated[Size, Field(ge=1 << 16, le=1 << 40)] = 512 << 20
    """Bytes of these results together; the oldest of whoever has most are forgotten first."""
    answer_bytes_max: Annotated[Size, Field(ge=1 << 16, le=1 << 30)] = 16 << 20
    """Largest document of a job; a verb that says more fails, and its `limit` makes it smaller."""
    plan_valid: Duration = timedelta(hours=1)
    """How long the digest of a plan can be carried out."""
    wait_max_s: Annotated[float, Field(ge=0, le=60)] = 30.0
    """Longest wait of one request for the end of a job, in seconds."""


class ControlSettings(Section):
    """An HTTP API that does what the verbs do, for those who show a token or a certificate."""

    listen: Address
    """`host:port`, like 127.0.0.1:9465; port 0 takes a free one.

    Beyond this machine it needs `tls`.
    """
    folder: AbsolutePath | None = None
    """Folder of jobs, tokens and the audit log; default: `<log.path>.control` beside an SQLite log.

    With a log in Kafka it must be named. It is made when its parent is there, for this user alone.
    """
    tls: ControlTlsSettings | None = None
    """Encrypt. Without it only addresses of this machine can be listened at."""
    without_tls: bool = False
    """Whether to listen beyond this machine without `tls`: a proxy in front encrypts."""
    clients: Annotated[
        Mapping[ClientName, ControlClientSettings], BeforeValidator(nothing_is_empty)
    ] = {}
    """Who may come with a client certificate, by its common name or one of its DNS names."""
    jobs: ControlJobsSettings = ControlJobsSettings.defaults()
    """How much work the service takes on."""
    body_bytes_max: Annotated[Size, Field(ge=1024, le=16 << 20)] = 64 << 10
    """Largest body of a request."""
    connections_max: Annotated[int, Field(ge=1, le=10_000)] = 256
    """Connections open at once; one more closes the oldest of the stranger with most."""
    failed_logins_max: Annotated[int, Field(ge=1, le=10_000)] = 10
    """Wrong tokens that one address may show in a minute; then it is refused with 429."""
    audit_bytes_max: Annotated[Size, Field(ge=1 << 16, le=1 << 40)] = 64 << 20
    """Size at which the audit log's file is put aside; two files that were put aside are kept."""

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
