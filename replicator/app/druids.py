"""Composition of the clients of the two clusters' own Druids."""

from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING

from replicator.config import DruidLoginSettings, DruidSettings, Settings, SourceDruidSettings
from replicator.errors import ConfigError
from replicator.model.observation import Observer
from replicator.ports import Area, Clock
from replicator.ports.druid import DruidCluster, QueryBroker, TellsRelease
from replicator.services.monitoring.canary import Canary, CanaryRules, CanaryTarget
from replicator.services.verification.query_verifier import QueryLimits, QueryVerifier

if TYPE_CHECKING:
    from replicator.adapters.druid.request import DruidLogin

# The HTTP client takes a while to import, so it is imported only where a Druid is queried.


def druid_cluster(settings: DruidSettings, environ: Mapping[str, str]) -> DruidCluster:
    """Return a target's Overlord and Coordinator."""
    from replicator.adapters.druid.cluster import DruidAddress, DruidHttp  # noqa: PLC0415 - see above

    return DruidHttp(
        DruidAddress(
            coordinator_urls=settings.coordinator_url,
            overlord_urls=settings.overlord_url or settings.coordinator_url,
            login=_login(settings, environ),
            request_timeout_s=settings.request_timeout_s,
        )
    )


def source_status(settings: Settings, environ: Mapping[str, str]) -> TellsRelease | None:
    """Return the client that reports the source's release; None without an address."""
    druid = settings.watched.druid
    if druid is None:
        return None
    from replicator.adapters.druid.status import DruidStatus  # noqa: PLC0415 - see above

    timeout_s = settings.queries.query_timeout_s
    return DruidStatus(druid.broker_url, _login(druid, environ), timeout_s=timeout_s)


def query_verifier(
    settings: Settings, target: str, environ: Mapping[str, str], rng: Random, observer: Observer
) -> QueryVerifier:
    """Return the service that compares a target's answers with the source's.

    Raises:
        ConfigError: the configuration lacks the address of one of the two Brokers.
    """
    queries = settings.queries
    timeout_s = queries.query_timeout_s
    return QueryVerifier(
        source=_broker("source", settings.watched.druid, environ, timeout_s),
        target=_broker(f"targets.{target}", settings.targets[target].druid, environ, timeout_s),
        limits=QueryLimits(
            in_flight_max=queries.in_flight_max,
            columns_per_query_max=queries.columns_per_query_max,
            interval_min_s=queries.interval_min_s,
            repeats_max=queries.repeats_max,
            repeat_wait_s=queries.repeat_wait_s,
            suspects_max=queries.suspects_max,
            retry=queries.retry.policy,
        ),
        rng=rng,
        observer=observer,
    )


def canary(
    settings: Settings,
    areas: Mapping[str, Area],
    environ: Mapping[str, str],
    *,
    clock: Clock,
    observer: Observer,
) -> Canary | None:
    """Return what follows the canary from the source to the standbys; None: there is none.

    Args:
        settings: What is configured.
        areas: Areas of the targets that this process works for, by their names.
        environ: Holds the passwords.
        clock: Measures the time.
        observer: Receives arrivals.

    Raises:
        ConfigError: the configuration lacks the address of a Broker.
    """
    if (options := settings.canary) is None:
        return None
    names = [
        name
        for name, target in settings.targets.items()
        if name in areas and (name in options.targets or _has_broker(target.druid, options.targets))
    ]
    timeout_s = options.query_timeout_s
    return Canary(
        CanaryRules(
            datasource=options.datasource,
            window=options.window,
            lost_after=options.lost_after,
            interval_s=options.look_interval_s,
        ),
        _broker("source", settings.watched.druid, environ, timeout_s),
        {
            name: CanaryTarget(
                broker=_broker(f"targets.{name}", settings.targets[name].druid, environ, timeout_s),
                area=areas[name],
            )
            for name in names
        },
        clock=clock,
        observer=observer,
        timeout_s=settings.look_timeout_s,
    )


def _has_broker(druid: DruidSettings | None, named: Sequence[str]) -> bool:
    return not named and druid is not None and druid.broker_url is not None


def _broker(
    where: str,
    settings: SourceDruidSettings | DruidSettings | None,
    environ: Mapping[str, str],
    timeout_s: float,
) -> QueryBroker:
    if settings is None or settings.broker_url is None:
        raise ConfigError(
            f"{where}.druid.broker_url is not configured: there is no Broker to query",
            hint=f"set {where}.druid.broker_url: http://host:8082, a Broker or a Router",
        )
    from replicator.adapters.druid.broker import DruidBroker  # noqa: PLC0415 - see above

    return DruidBroker(settings.broker_url, _login(settings, environ), query_timeout_s=timeout_s)


def _login(settings: DruidLoginSettings, environ: Mapping[str, str]) -> "DruidLogin":
    from replicator.adapters.druid.request import DruidLogin  # noqa: PLC0415 - see above

    return DruidLogin(
        username=settings.username, password=settings.password(environ), ca_file=settings.ca_file
    )
