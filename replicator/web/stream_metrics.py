"""Prometheus metrics of a source's change stream."""

from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge

from replicator.model.observation import (
    StreamBegun,
    StreamDropped,
    StreamEnded,
    StreamFollowed,
    StreamObservation,
    StreamRetained,
)


class StreamMetrics:
    """Metrics of one source's change stream."""

    def __init__(self, registry: CollectorRegistry, source: str) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"replicator_change_stream_{name}", text, ("source",), registry=registry)

        def counter(name: str, text: str) -> Counter:
            return Counter(f"replicator_change_stream_{name}", text, ("source",), registry=registry)

        self._source = source
        self._up = gauge("up", "1: each commit of the source becomes a cut; 0: it is polled.")
        self._retained = gauge("retained_bytes", "WAL that the source keeps for it.")
        self._retained_max = gauge("retained_max_bytes", "WAL at which the watcher drops the slot.")
        self._behind = gauge("behind_bytes", "WAL of the source that is not in the log yet.")
        self._known_until = gauge(
            "told_timestamp_seconds", "All that the source had committed by then is in the log."
        )
        self._ended = counter("ended_total", "How often polls took its place.")
        self._dropped = counter(
            "dropped_total", "Slots that were dropped because they kept too much WAL."
        )

    def count(self, observation: StreamObservation) -> None:
        """Count what was observed."""
        source = self._source
        match observation:
            case StreamBegun():
                self._up.labels(source).set(1)
            case StreamEnded():
                self._up.labels(source).set(0)
                self._ended.labels(source).inc()
            case StreamDropped():
                self._dropped.labels(source).inc()
                self._retained.labels(source).set(0)
            case StreamRetained(bytes=retained, bytes_max=retained_max):
                self._keep(retained, retained_max)
            case StreamFollowed():
                self._keep(observation.retained_bytes, observation.retained_bytes_max)
                self._behind.labels(source).set(observation.behind_bytes)
                if observation.told_until is not None:
                    self._known_until.labels(source).set(observation.told_until.timestamp())
            case _:
                assert_never(observation)

    def _keep(self, retained: int, retained_max: int) -> None:
        self._retained.labels(self._source).set(retained)
        self._retained_max.labels(self._source).set(retained_max)
