"""Prometheus gauges from the last look at log and targets, computed at each scrape.

While something is unreachable its lag keeps growing and its margins keep shrinking.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from replicator.ports import Clock
from replicator.services.monitoring.poller import Poller, Seen
from replicator.services.monitoring.status import (
    DRILL,
    KILL_MARGIN,
    LOG_MARGIN,
    RPO,
    Pending,
    TargetStatus,
)

OTHERS = "(others)"


class StatusGauges(Collector):
    """A collector of what a poller has seen."""

    def __init__(self, *, source: str, poller: Poller, clock: Clock, datasources_max: int) -> None:
        self._source = source
        self._poller = poller
        self._clock = clock
        self._datasources_max = datasources_max

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield one family of each metric, with a sample for each target that has the fact."""
        now = self._clock.now()
        yield from self._of_log()
        families = _Families()
        for name, seen in sorted(self._poller.seen.items()):
            self._add(families, name, seen, now)
        yield from families.all

    def _of_log(self) -> Iterator[GaugeMetricFamily]:
        last = self._poller.log.last if self._poller.log else None
        if last is not None:
            family = GaugeMetricFamily(
                "replicator_logged_time_seconds",
                "The source's time of the last cut in the log, as a Unix timestamp.",
                labels=("source",),
            )
            family.add_metric((self._source,), last.closed.source_time.timestamp())
            yield family

    def _add(self, families: "_Families", name: str, seen: Seen, now: datetime) -> None:
        status, labels, age = seen.status, (self._source, name), now - seen.at
        families.looked.add_metric(labels, seen.at.timestamp())
        families.gaps.add_metric(labels, len(status.gaps))
        if (checkpoint := status.checkpoint) is not None:
            families.replicated.add_metric(labels, checkpoint.source_time.timestamp())
            families.lag.add_metric(labels, (now - checkpoint.source_time).total_seconds())
        if status.lag_records is not None:
            families.lag_records.add_metric(labels, status.lag_records)
        if status.log_margin is not None:
            families.log_margin.add_metric(labels, (status.log_margin - age).total_seconds())
        if (pending := status.pending) is not None:
            families.pending_objects.add_metric(labels, pending.objects)
            families.pending_bytes.add_metric(labels, pending.size_bytes)
            for datasource, margin in self._bounded(pending).items():
                left = (margin - age).total_seconds()
                families.kill_margin.add_metric((*labels, datasource), left)
        self._add_proved(families, status)
        broken = status.broken
        for promise in (RPO, KILL_MARGIN, LOG_MARGIN, DRILL):
            families.kept.add_metric((*labels, promise), promise not in broken)

    def _add_proved(self, families: "_Families", status: TargetStatus) -> None:
        labels = self._source, status.target
        if (drill := status.drilled.last_good) is not None:
            families.drilled.add_metric(labels, drill.ended_at.timestamp())
        if (newest := status.drilled.last) is not None:
            families.drill_good.add_metric(labels, newest.is_good)
        for level, proved_at in status.proved.items():
            families.proved.add_metric((*labels, level), proved_at.timestamp())

    def _bounded(self, pending: Pending) -> Mapping[str, timedelta]:
        """Return the smallest margins by name, and the smallest of all others together."""
        nearest = pending.nearest_kills(self._datasources_max + 1)
        shown, others = nearest[: self._datasources_max], nearest[self._datasources_max :]
        return dict(shown) | ({OTHERS: others[0][1]} if others else {})


class _Families:
    """The gauges of each target."""

    def __init__(self) -> None:
        self.all: list[GaugeMetricFamily] = []
        self.looked = self._family(
            "status_timestamp_seconds", "When log and target could last be looked at."
        )
        self.replicated = self._family(
            "replicated_time_seconds", "The source's time of the target's cut, a Unix timestamp."
        )
        self.lag = self._family("lag_seconds", "Now less the replicated time.")
        self.lag_records = self._family("lag_records", "Records of the log after the target's cut.")
        self.pending_objects = self._family(
            "pending_objects", "Segments that are new to the target and wait to be copied."
        )
        self.pending_bytes = self._family("pending_bytes", "Their bytes, unpacked.")
        self.gaps = self._family("gaps", "Rows that the target's cut cannot have.")
        self.kill_margin = self._family(
            "kill_margin_seconds",
            "Time until the source's kill could delete bytes not copied yet.",
            "datasource",
        )
        self.log_margin = self._family(
            "log_retention_margin_seconds",
            "Time until the log could trim what the target still needs.",
        )
        self.drilled = self._family(
            "drill_last_success_timestamp_seconds", "When the last good drill of its store ended."
        )
        self.drill_good = self._family(
            "drill_last_good", "1: the newest drill of its store was good, 0: it was not."
        )
        self.proved = self._family(
            "verify_last_success_timestamp_seconds",
            "When a `verify` of all of the target last found nothing wrong.",
            "level",
        )
        self.kept = self._family("promise_kept", "1: kept, 0: broken.", "promise")

    def _family(self, name: str, text: str, *labels: str) -> GaugeMetricFamily:
        found = GaugeMetricFamily(f"replicator_{name}", text, labels=("source", "target", *labels))
        self.all.append(found)
        return found
