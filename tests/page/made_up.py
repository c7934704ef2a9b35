"""A large state that nobody has: many cuts and datasources, two targets, gaps, holds, drills."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any, NamedTuple, cast

import orjson

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.errors import TransientError
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import Offset
from replicator.model.fingerprint import Digest
from replicator.model.operations.pulse import Pulse
from replicator.model.operations.schedule import Timing
from replicator.model.operations.scheduled_run import RunRecord, RunState
from replicator.model.store.canary import CanarySummary
from replicator.model.store.drill import (
    DrillStep,
    Evidence,
    Rehearsed,
    Trial,
    evidence_json,
)
from replicator.model.store.drilled import Drilled
from replicator.model.store.holds import Hold, NamedPoint
from replicator.model.store.rates import Rates
from replicator.ports import Freshness
from replicator.ports.notifications import Delivery, DeliveryState, Journal, QueueLength
from replicator.services.history.reader import History
from replicator.services.inspection.chronicle import Chronicle
from replicator.services.inspection.points_report import listed_hold, target_points
from replicator.services.monitoring.life import Life, LifeSign, LifeSigns
from replicator.services.monitoring.poller import Failure, Poller, Seen
from replicator.services.monitoring.status import (
    LogStatus,
    Pending,
    Promises,
    SourceStatus,
    StatusReader,
    TargetStatus,
)
from replicator.services.notifications.queues import WebhookQueue
from replicator.services.schedules.record import ScheduleRecord
from replicator.services.schedules.states import LineState, ScheduledLine
from replicator.services.store.store import Store
from replicator.services.store.windows import CutWindow, Windows
from replicator.web.notes import NotesReader, StoreNotes
from replicator.web.panorama import Panorama, Surroundings
from replicator.web.status_report import report_json
from replicator.web.trend import TargetSample
from tests.page.figures import Documents
from tests.page.made_up_log import HOSTILE, LOG_ID, NOW, SOURCE, STEP, WIDTH, MadeUpLog
from tests.unit.pipeline import HandClock

HOUR = timedelta(hours=1)


class MadeUp(NamedTuple):
    """The state, and what was put into it."""

    log: MadeUpLog
    history: History
    panorama: Panorama
    clock: HandClock
    journal: Journal


async def made_up(*, cuts: int, datasources: int) -> MadeUp:
    """Return a state with as many cuts and datasources, read to its end."""
    clock, log = HandClock(NOW), MadeUpLog(cuts=cuts, datasources=datasources)
    history = History(log, source=SOURCE, workers=InPlaceWorkers())
    reader = StatusReader(source=SOURCE, history=history, clock=clock, kill_buffer=None)
    poller = Poller(status_reader=reader, targets={}, clock=clock, interval_s=15.0)
    last = log.closed(cuts)
    poller.log = LogStatus(log_id=LOG_ID, records=WIDTH * cuts, last=last, first=Offset(0))
    poller.seen = {name: Seen(at=NOW, status=status(log, name)) for name in ("standby", "vault")}
    notes = {name: reading(clock) for name in poller.seen}
    panorama = Panorama(
        poller=poller,
        chronicle=Chronicle(history),
        notes=notes,
        surroundings=Surroundings(
            life=lambda _: _life(),
            source=_source,
            schedules=_schedules,
            webhooks=_webhooks,
            retention={"standby": timedelta(days=28)},
        ),
        clock=clock,
        interval_s=15.0,
        records_per_look_max=100_000,
    )
    while not panorama.is_read:
        await panorama.look()
    for name, one in notes.items():
        one.notes = made_up_notes(log, name)
    for minute in range(24 * 60, 0, -2):
        panorama.trend.add(NOW - timedelta(minutes=minute), _sampled(minute))
    return MadeUp(log, history, panorama, clock, cast("Journal", Untold()))


class Untold:
    """A journal of which a webhook has not taken two."""

    async def listed(self, _: DeliveryState | None = None) -> list[Delivery]:
        return [
            undelivered(1, "promise.broken", "vault breaks rpo: 184 s, 60 s promised"),
            undelivered(2, "drill.failed", "vault: its newest drill failed"),
        ]


def undelivered(number: int, kind: str, summary: str) -> Delivery:
    """Return what was given up."""
    return Delivery(
        number=number,
        webhook="pager",
        id=f"8f0c9a52-9f0b-4a53-a9a4-95a5f7a30a5{number}",
        type=kind,
        body=orjson.dumps({"target": "vault", "summary": summary}),
        made_at=NOW - 5 * HOUR,
        attempts=12,
        state=DeliveryState.DEAD,
        next_at=NOW - 4 * HOUR,
        error="hooks.example answered 500: Internal Server Error",
    )


def reading(clock: HandClock) -> NotesReader:
    """Return a reader of an empty store, whose notes a test replaces."""
    area = MemoryArea()
    metadata = MemoryMetadata(clock)
    return NotesReader(
        source=SOURCE, metadata=metadata, area=area, store=lambda: Store(area), clock=clock
    )


def status(log: MadeUpLog, name: str) -> TargetStatus:
    """Return where a target is: `vault` is behind, and breaks a promise."""
    behind = 6 if name == "vault" else 0
    at = log.closed(log.cuts - behind)
    closed = at.closed
    return TargetStatus(
        target=name,
        checkpoint=Checkpoint(
            source=SOURCE,
            log_id=LOG_ID,
            offset=at.offset,
            cut=closed.cut,
            source_time=closed.source_time,
            digest=closed.digest,
            paused=False,
        ),
        applied_at=NOW,
        lag=NOW - closed.source_time,
        lag_records=WIDTH * behind,
        log_gone=False,
        other_log=False,
        gaps=tuple(gap for gap in gaps(log, name) if gap.closed is None),
        pending=Pending(
            objects=4 * behind,
            size_bytes=behind << 30,
            kill_margins={"datasource_003": 2 * HOUR, HOSTILE: 30 * HOUR} if behind else {},
        ),
        log_margin=None,
        cut_short=False,
        trimmed=False,
        promises=Promises(
            rpo=timedelta(minutes=2),
            kill_margin_min=HOUR,
            log_margin_min=HOUR,
            drill=timedelta(days=7),
        ),
        looked_at=NOW,
        drilled=Drilled(last=drilled(log, name, 20), last_good=drilled(log, name, 20)),
        proved={"rows": NOW - 3 * HOUR, "checksum": NOW - 30 * HOUR},
        rates=Rates(copied_bytes=90e6, copied_objects=10, copy_s=1.0, rows=1000, rows_s=1.0),
    )


def gaps(log: MadeUpLog, name: str) -> list[Gap]:
    """Return some gaps of the vault, one of them open."""
    if name != "vault":
        return []
    closed = log.closed(log.cuts * 2 // 3)
    until = log.closed(log.cuts * 2 // 3 + log.cuts // 40)
    made = [
        Gap(
            key=f"datasource_007_gap_{number}",
            datasource="datasource_007",
            reason="killed_before_copied",
            detail="the source's kill deleted its bytes before they were copied",
            opened=closed.offset,
            closed=until.offset,
        )
        for number in range(12)
    ]
    return [*made, replace(made[0], opened=log.closed(log.cuts - 3).offset, closed=None)]


def made_up_notes(log: MadeUpLog, name: str) -> StoreNotes:
    """Return what a target's store says: two windows with a hole, points, a hold, drills."""
    hole = log.cuts // 3
    spans = [(log.cuts // 10, hole), (hole + log.cuts // 25, log.cuts)]
    if name == "standby":
        spans = [(log.cuts // 20, log.cuts)]
    named = [point(log, name, log.cuts * share // 100) for name, share in POINTS.items()]
    holds = [
        Hold(point=point(log, "audit-2026", log.cuts // 2), reason="audit of 2026", until=None)
    ]
    return StoreNotes(
        looked_at=NOW,
        windows=Windows(
            log_id=LOG_ID,
            horizon=log.closed(spans[0][0]).offset,
            holds=(),
            windows=tuple(
                CutWindow(first=log.closed(first), last=log.closed(last)) for first, last in spans
            ),
            gaps=tuple(gaps(log, name)),
            faults=(),
        ),
        named=named,
        holds=holds if name == "standby" else [],
        altered_points=(),
        altered_holds=(),
        other_logs=(),
        gaps=gaps(log, name),
        drills=[drilled(log, name, age) for age in (20, 190, 360)],
        faults=(),
        canary=canary(name) if name == "standby" else None,
    )


def canary(name: str) -> CanarySummary:
    return CanarySummary(
        datasource="canary",
        target=name,
        looked_at=NOW,
        arrived=287,
        lost=1,
        waiting_s=0.0,
        last_arrival_at=NOW - timedelta(seconds=150),
        p50_s=6.2,
        p95_s=14.8,
        p99_s=41.0,
    )


POINTS = {"before-migration": 30, "release-41": 62, "release-42": 88, "too-old": 2}


def point(log: MadeUpLog, name: str, cut: int) -> NamedPoint:
    at = log.closed(max(1, cut))
    return NamedPoint(
        name=name,
        log_id=LOG_ID,
        offset=at.offset,
        cut=at.closed.cut,
        source_time=at.closed.source_time,
        created_at=NOW,
    )


def drilled(log: MadeUpLog, name: str, age_h: int) -> Evidence:
    """Return the evidence of a drill that ended so many hours ago; the oldest went wrong."""
    ended = NOW - age_h * HOUR
    at = log.closed(max(1, log.cuts - int(age_h * HOUR / STEP)))
    bad = age_h > 300
    steps = (("plan", 2.1, None), ("copy", 241.7, 41 << 30), ("rows", 9.3, None))
    proof = (("verify", 120.4, 41 << 30), ("load", 61.0, None), ("query", 14.2, None))
    return Evidence(
        target=name,
        source=SOURCE,
        log_id=LOG_ID,
        point="latest",
        program="0.1.0",
        started_at=ended - timedelta(seconds=450),
        ended_at=ended,
        rehearsed=Rehearsed(
            cut=at.closed.cut,
            offset=at.offset,
            source_time=at.closed.source_time,
            digest=Digest(int.from_bytes(sha256(name.encode()).digest())),
            rows=71_210,
            segments=66_940,
            objects=66_812,
        ),
        trial=None if bad else Trial(release="33.0.0", segments=66_940, rows=812_400_377),
        steps=tuple(
            DrillStep(name=step, seconds=seconds, size_bytes=size)
            for step, seconds, size in (*steps, *proof)
        ),
        findings=("datasource_007_gap_3: its bytes are missing",) if bad else (),
        findings_count=1 if bad else 0,
        failure=None,
    )


def _sampled(minute: int) -> dict[str, TargetSample]:
    lag_s = 4.0 + (minute * 7919 % 13) + (90.0 if 300 < minute < 330 else 0.0)
    behind_s = 20.0 + (minute * 104_729 % 31) + (160.0 if minute < 20 else 0.0)
    return {
        "standby": TargetSample(lag_s=lag_s, pending_bytes=0),
        "vault": TargetSample(lag_s=behind_s, pending_bytes=minute << 20),
    }


async def _life() -> LifeSigns:
    pulse = Pulse(
        verb="run",
        host="replicator-1",
        pid=4711,
        since=NOW - 90 * HOUR,
        seen_at=NOW,
        every=timedelta(seconds=10),
        done_at=NOW - timedelta(seconds=4),
    )
    sign = LifeSign(pulse=pulse, life=Life.RUNNING)
    return LifeSigns(
        looked_at=NOW,
        watcher=sign,
        appliers={"standby": sign, "vault": sign},
        last_poll=NOW - timedelta(seconds=4),
    )


async def _source() -> SourceStatus:
    fresh = Freshness(requested_at=NOW, shows=NOW, is_replica=False)
    return SourceStatus(freshness=fresh)


async def _webhooks() -> list[WebhookQueue]:
    late = QueueLength(waiting=2, dead=0, error="hooks.example did not answer within 10 s")
    return [WebhookQueue(webhook="pager", length=late)]


async def _schedules() -> list[LineState]:
    return [
        _scheduled("nightly-proof", "standby", "verify", 7, RunState.GOOD, "good"),
        _scheduled("weekly-drill", "vault", "drill", 31, RunState.BAD, "its bytes are missing"),
    ]


def _scheduled(
    schedule: str, target: str, kind: str, age_h: int, state: RunState, message: str
) -> LineState:
    due = NOW - age_h * HOUR
    line = ScheduledLine(
        schedule=schedule,
        target=target,
        kind=kind,
        verb=f"{kind} {target}",
        timing=Timing(
            cron="0 5 * * *", time_zone="UTC", jitter=timedelta(0), late_max=timedelta(hours=1)
        ),
        record=ScheduleRecord(MemoryArea()),
    )
    run = RunRecord(
        schedule=schedule,
        target=target,
        due=due,
        attempt=1,
        state=state,
        started_at=due,
        lease_until=due,
        ended_at=due + timedelta(minutes=6),
        message=message,
    )
    good = run.ended_at if state is RunState.GOOD else None
    return LineState(line=line, last=run, last_good=good, next_due=due + 24 * HOUR, looked_at=NOW)


def documents(made: MadeUp) -> Documents:
    """Return what the verbs would print of the state: made by what they print with."""
    report = made.panorama.report
    assert report is not None
    kept = {name: made.panorama.notes(name) for name in made.panorama.targets}
    stores = {name: notes for name, notes in kept.items() if notes is not None}
    points = [
        target_points(
            name,
            until=None,
            gaps=notes.gaps,
            found=notes.windows,
            named=notes.named,
            faults=(),
            other_logs=(),
        )
        for name, notes in stores.items()
    ]
    holds = [listed_hold(one, name, NOW) for name, notes in stores.items() for one in notes.holds]
    drills = [evidence_json(one) for notes in stores.values() for one in notes.drills]
    typed = lambda one: f"replicator {one.remedy}" if one.remedy else ""  # noqa: E731
    return Documents(
        status=printed(report_json(report, typed)),
        points=printed({"cuts": made.log.cuts, "targets": points}),
        holds=printed({"holds": holds}),
        drills=printed({"drills": drills}),
    )


def printed(document: Any) -> Any:
    """Return a document as it is printed, and read again."""
    return orjson.loads(orjson.dumps(document, option=orjson.OPT_UTC_Z, default=str))


def broken(panorama: Panorama, error: Failure) -> None:
    """Have the vault out of reach."""
    panorama.poller.seen.pop("vault", None)
    panorama.poller.failures["vault"] = error


def many_targets(made: MadeUp, number: int) -> None:
    """Have as many further targets; every tenth is out of reach, every seventh is behind."""
    poller = made.panorama.poller
    readers = dict(made.panorama._notes)
    for place in range(number - len(poller.seen)):
        name = f"region-{place:03}"
        like = "vault" if place % 7 == 0 else "standby"
        seen = poller.seen[like]
        poller.seen[name] = replace(seen, status=replace(seen.status, target=name))
        readers[name] = reading(made.clock)
        readers[name].notes = made_up_notes(made.log, like)
        if place % 10 == 0:
            error = TransientError(f"{name}: connection refused", hint="is its database up?")
            poller.failures[name] = Failure(since=NOW - HOUR, error=error)
    made.panorama._notes = readers


def no_targets(made: MadeUp) -> None:
    """Have none at all."""
    made.panorama.poller.seen.clear()
    made.panorama._notes = {}


def without_log(made: MadeUp) -> None:
    """Have the log out of reach."""
    error = TransientError("the broker at kafka:9092 does not answer", hint="is it up?")
    made.panorama.log_failure = error
    made.panorama.poller.log_failure = Failure(since=NOW - HOUR, error=error)
