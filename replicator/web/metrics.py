"""Prometheus metrics: what this process does, counted as it is observed.

Base units, and never a segment's id as a label. docs/monitoring.md lists them for their readers.
"""

from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from replicator.model.checkpoint import GAP_REASONS
from replicator.model.observation import (
    BaseWritten,
    CanaryArrived,
    CanarySeen,
    CutApplied,
    CutPublished,
    DrillEnded,
    EpochAcquired,
    Followed,
    GapHealed,
    GapOpened,
    HistoryMerged,
    LogBegun,
    Muted,
    NotificationSent,
    NotificationsQueued,
    ObjectCopied,
    Observation,
    Observer,
    Polled,
    Progress,
    ScanBegun,
    ScheduledRunEnded,
    ScheduleSeen,
    StreamBegun,
    StreamDropped,
    StreamEnded,
    StreamFollowed,
    StreamObservation,
    StreamRetained,
    SwitchCalled,
    TargetPaused,
    VersionsMissed,
)
from replicator.model.observed.faults import ArchiveDamaged, FileUnsigned, Halted, Waiting, WentOn
from replicator.model.operations.scheduled_run import RunState
from replicator.ports import Clock
from replicator.web.stream_metrics import StreamMetrics

ENDED_RUNS = (RunState.GOOD, RunState.BAD, RunState.SKIPPED)
CANARY_BUCKETS_S = (5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800, 3600, 21_600)
"""Buckets from one poll, one step and one load up to a standby that is delayed on purpose."""
WATCHER = ""
"""The label `target` of what the watcher does."""
POLL_BUCKETS_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Buckets from a small source up to 12 million rows on a slow replica."""


class Metrics:
    """Counters behind observers, one for the watcher and one for each target."""

    def __init__(self, *, source: str, version: str, clock: Clock) -> None:
        self.registry = registry = CollectorRegistry()
        self._source = source
        self._clock = clock

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"replicator_{name}", text, ("source", *labels), registry=registry)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"replicator_{name}", text, ("source", *labels), registry=registry)

        gauge("build_info", "1, with the version.", "version").labels(source, version).set(1)
        self._leader = gauge(
            "leader", "1: this process is the one writer of the log, or of a target.", "target"
        )
        self._polls = Histogram(
            "replicator_poll_seconds",
            "How long a poll of the source took, with the cut that it published.",
            ("source",),
            buckets=POLL_BUCKETS_S,
            registry=registry,
        )
        self._polled = gauge("last_poll_timestamp_seconds", "When the source last answered a poll.")
        self._scanned = gauge("scanned_rows", "Rows of the source at its last poll.")
        self._fingerprinted = counter(
            "fingerprinted_rows_total", "Rows whose contents the source's database has read."
        )
        self._full = counter("full_scans_total", "Polls that read every row of the source.")
        self._missed = counter(
            "row_versions_missed_total", "Changes that row versions did not tell and a scan found."
        )
        self._missed.labels(source)
        self._stream = StreamMetrics(registry, source)
        self._events = counter("events_published_total", "Events appended to the log.", "type")
        self._copied = counter(
            "objects_copied_total",
            "Segments whose bytes are on the target, copied or there already (reused).",
            *("target", "mode", "result"),
        )
        self._bytes = counter("bytes_copied_total", "Bytes stored on a target.", "target", "mode")
        self._applied = counter("cuts_applied_total", "Steps from cut to cut.", "target")
        self._rows = counter("rows_applied_total", "Rows written or removed.", "target")
        self._gaps = counter("gaps_total", "Gaps that were opened.", "target", "reason")
        self._retries = counter(
            "retries_total", "Failures that may pass: polls, copies, transactions.", "target"
        )
        self._halted = gauge(
            "halted_services",
            "Services of a target that an error has halted until an operator corrects it.",
            "target",
        )
        self._halts: dict[str, set[str]] = {}
        """Halted services by target."""
        self._damaged = counter(
            "archive_damaged_total", "Files of a target's history that were passed over.", "target"
        )
        self._based = gauge(
            "last_base_timestamp_seconds", "When a target's last base was written.", "target"
        )
        self._canary = Histogram(
            "replicator_canary_seconds",
            "From a row's first answer at the source to its first answer at the standby.",
            ("source", "target"),
            buckets=CANARY_BUCKETS_S,
            registry=registry,
        )
        self._canary_waiting = gauge(
            "canary_waiting_seconds", "How long the oldest row was awaited; 0: none is.", "target"
        )
        self._canary_lost = gauge(
            "canary_lost_rows", "Rows of the canary that did not arrive in time.", "target"
        )
        of_schedule = ("schedule", "target")
        self._runs = counter(
            "scheduled_runs_total",
            "Runs of schedules by this process: good, bad or skipped.",
            *(*of_schedule, "result"),
        )
        self._next_run = gauge(
            "scheduled_run_next_timestamp_seconds", "When a schedule is due next.", *of_schedule
        )
        self._last_run = gauge(
            "scheduled_run_last_success_timestamp_seconds",
            "When the last good run of a schedule ended.",
            *of_schedule,
        )
        self._sent = counter(
            "notifications_total",
            "Attempts to deliver a notification, delivered or failed.",
            *("webhook", "result"),
        )
        self._queued = gauge(
            "notifications_queued",
            "Notifications that wait for a webhook, and dead ones, which were given up.",
            *("webhook", "state"),
        )
        self._switch = gauge(
            "dead_mans_switch_last_call_timestamp_seconds",
            "When the dead man's switch was last called, all promises being kept.",
        )

    def observer(self, target: str | None, then: Observer) -> Observer:
        """Return an observer that counts for a target, or the watcher, and passes on."""
        self.begin(target)

        def observe(observation: Observation) -> None:
            self.count(observation, target)
            then(observation)

        return observe

    def begin(self, target: str | None) -> None:
        """Set the counters of a target, or the watcher, to 0: else nothing is seen to increase."""
        target = WATCHER if target is None else target
        self._leader.labels(self._source, target)
        for reason in GAP_REASONS if target else ():
            self._gaps.labels(self._source, target, reason)
        self._retries.labels(self._source, target)
        self._halted.labels(self._source, target)
        self._damaged.labels(self._source, target)

    def count(self, observation: Observation, target: str | None) -> None:
        """Count what happened to a target, or to the watcher."""
        self._count(observation, WATCHER if target is None else target)

    def _count(self, observation: Observation, target: str) -> None:  # noqa: C901 - a case each
        match observation:
            case EpochAcquired():
                self._leader.labels(self._source, target).set(1)
            case (
                Polled()
                | CutPublished()
                | StreamBegun()
                | StreamEnded()
                | StreamDropped()
                | StreamRetained()
                | StreamFollowed()
            ):
                self._count_watched(observation)
            case ObjectCopied():
                self._count_copied(observation, target)
            case CutApplied():
                self._applied.labels(self._source, target).inc()
                self._rows.labels(self._source, target).inc(observation.rows)
            case (
                GapOpened() | Waiting() | Halted() | WentOn() | ArchiveDamaged() | VersionsMissed()
            ):
                self._count_trouble(observation, target)
            case BaseWritten():
                self._based.labels(self._source, target).set(self._clock.now().timestamp())
            case NotificationSent() | NotificationsQueued() | SwitchCalled():
                self._count_notifications(observation)
            case CanaryArrived() | CanarySeen() | ScheduleSeen() | ScheduledRunEnded():
                self._count_beside(observation)
            case (
                Progress()
                | LogBegun()
                | TargetPaused()
                | Followed()
                | Muted()
                | DrillEnded()
                | ScanBegun()
                | FileUnsigned()
                | HistoryMerged()
                | GapHealed()
            ):
                pass
            case _:
                assert_never(observation)

    def _count_beside(
        self, observation: CanaryArrived | CanarySeen | ScheduleSeen | ScheduledRunEnded
    ) -> None:
        if isinstance(observation, CanaryArrived | CanarySeen):
            self._count_canary(observation)
        else:
            self._count_scheduled(observation)

    def _count_canary(self, observation: CanaryArrived | CanarySeen) -> None:
        labels = (self._source, observation.target)
        if isinstance(observation, CanaryArrived):
            self._canary.labels(*labels).observe(observation.seconds)
            return
        self._canary.labels(*labels)
        self._canary_waiting.labels(*labels).set(observation.waiting_s)
        self._canary_lost.labels(*labels).set(observation.lost)

    def _count_scheduled(self, observation: ScheduleSeen | ScheduledRunEnded) -> None:
        if isinstance(observation, ScheduledRunEnded):
            run = observation.record
            self._runs.labels(self._source, run.schedule, run.target, run.state.value).inc()
            return
        labels = (self._source, observation.schedule, observation.target)
        self._next_run.labels(*labels).set(observation.next_due.timestamp())
        for state in ENDED_RUNS:
            self._runs.labels(*labels, state.value)
        if observation.last_good is not None:
            self._last_run.labels(*labels).set(observation.last_good.timestamp())

    def _count_notifications(
        self, observation: NotificationSent | NotificationsQueued | SwitchCalled
    ) -> None:
        match observation:
            case SwitchCalled():
                self._switch.labels(self._source).set(self._clock.now().timestamp())
            case NotificationsQueued(webhook=webhook, waiting=waiting, dead=dead):
                self._queued.labels(self._source, webhook, "waiting").set(waiting)
                self._queued.labels(self._source, webhook, "dead").set(dead)
            case NotificationSent(webhook=webhook, error=error):
                result = "failed" if error else "delivered"
                self._sent.labels(self._source, webhook, result).inc()
            case _:
                assert_never(observation)

    def _count_trouble(
        self,
        observation: GapOpened | Waiting | Halted | WentOn | ArchiveDamaged | VersionsMissed,
        target: str,
    ) -> None:
        match observation:
            case GapOpened(gap=gap):
                self._gaps.labels(self._source, target, gap.reason).inc()
            case Halted() | WentOn():
                self._count_halt(observation, target)
            case Waiting():
                self._retries.labels(self._source, target).inc()
            case ArchiveDamaged():
                self._damaged.labels(self._source, target).inc()
            case VersionsMissed(rows=rows):
                self._missed.labels(self._source).inc(rows)
            case _:
                assert_never(observation)

    def _count_halt(self, observation: Halted | WentOn, target: str) -> None:
        halts = self._halts.setdefault(target, set())
        if isinstance(observation, Halted):
            halts.add(observation.what)
        else:
            halts.discard(observation.what)
        self._halted.labels(self._source, target).set(len(halts))

    def _count_watched(self, observation: Polled | CutPublished | StreamObservation) -> None:
        match observation:
            case CutPublished(types=types):
                for type_, count in types.items():
                    self._events.labels(self._source, type_).inc(count)
            case Polled():
                self._count_polled(observation)
            case _:
                self._stream.count(observation)
                if isinstance(observation, StreamFollowed):
                    self._polled.labels(self._source).set(self._clock.now().timestamp())

    def _count_polled(self, observation: Polled) -> None:
        self._polls.labels(self._source).observe(observation.poll_s)
        self._polled.labels(self._source).set(self._clock.now().timestamp())
        self._scanned.labels(self._source).set(observation.scanned_rows)
        self._fingerprinted.labels(self._source).inc(observation.fingerprinted_rows)
        self._full.labels(self._source).inc(observation.full)

    def _count_copied(self, copied: ObjectCopied, target: str) -> None:
        if copied.reused:
            self._copied.labels(self._source, target, "none", "reused").inc()
            return
        mode = "streamed" if copied.streamed else "in_storage"
        self._copied.labels(self._source, target, mode, "copied").inc()
        self._bytes.labels(self._source, target, mode).inc(copied.size_bytes)
