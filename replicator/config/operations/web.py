"""Settings of what `run`, `watch`, `apply` and `serve` offer over HTTP."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from replicator.config.operations.control import ControlSettings
from replicator.config.values import Address, AsTuple, Positive, Section

HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,253}$")]


class WebSettings(Section):
    """Metrics, health and status over HTTP, for those who watch over this program.

    Off unless it is configured: no port is opened unasked, and of
    several processes on one machine each needs a port of its own.
    """

    listen: Address | None = None
    """`host:port`, like 127.0.0.1:9464, the usual port of exporters; port 0 takes a free one.

    Default: with `control`, its port has metrics and health as well.

    There is no login, and names of datasources are told: reach further than this machine only
    within a network that you trust.
    """
    allowed_hosts: Annotated[tuple[HostName, ...], AsTuple] = ()
    """Names by which a request may call this server, beside `localhost`, any address, and the
    host of `listen`.

    A page in a user's browser can be led to a server of this machine by a name of its own; what
    calls us by another name is refused with 421.
    """
    status_interval_s: Positive = 15.0
    """Time between two looks at the log and the targets, in seconds: Prometheus' usual interval."""
    records_per_look_max: Annotated[int, Field(ge=1)] = 100_000
    """Records of the log that one look reads for each target; of more, the next look reads on.

    Until all are read, what is pending and the kill margins are not told. The default is a second
    or two of work.
    """
    datasources_max: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Datasources with a time series of their own, the smallest margins first.

    All others together are one more, `(others)`.
    """
    control: ControlSettings | None = None
    """The control API of `serve` and `run`; default: none, nothing can be asked for over HTTP."""

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.listen is None and self.control is None:
            raise ValueError("listen is missing: where metrics, health and status are offered")
        return self
