"""Settings of the HTTP servers of `run`, `watch`, `apply` and `serve`."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from replicator.config.operations.control import ControlSettings
from replicator.config.values import Address, AsTuple, Positive, Section

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")]


class WebSettings(Section):
    """Metrics, health and status over HTTP, for monitoring.

    Without this section no port is opened. Each of several processes on one machine needs a port of
    its own.
    """

    listen: Address | None = None
    """`host:port`, like 127.0.0.1:9464, the usual port of exporters; port 0 takes a free one.

    Default: with `control`, the control API's port, which also serves metrics and health.

    There is no login, and names of datasources are shown: listen beyond this machine only within a
    network that you trust.
    """
    allowed_hosts: Annotated[tuple[HostName, ...], AsTuple] = ()
    """Further host names in requests, beside `localhost`, any address, and the host of `listen`.

    A hostile page in an operator's browser can reach a server of this machine through a name of its
    own (DNS rebinding); requests with an unknown host name are refused with 421.
    """
    status_interval_s: Positive = 15.0
    """Time between two checks of log and targets, in seconds; Prometheus' usual interval."""
    records_per_look_max: Annotated[int, Field(ge=1)] = 100_000
    """Number of records that one check reads for each target; the next check continues there.

    Pending bytes and kill margins are unknown until all records are read. The default takes one or
    two seconds.
    """
    datasources_max: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Number of datasources with time series of their own, those with the smallest margins first.

    All other datasources share one, `(others)`.
    """
    control: ControlSettings | None = None
    """The control API of `serve` and `run`; default: none, and HTTP only shows metrics."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.listen is None and self.control is None:
            raise ValueError("listen is missing: where metrics, health and status are offered")
        return self
