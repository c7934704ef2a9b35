"""What `status` shows of targets in any state, at any width."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.app import Application
from replicator.cli.look.status import _exit_code, _show, _Targets
from replicator.cli.terminal.console import Paper
from replicator.cli.terminal.printed_commands import PrintedCommands
from replicator.errors import ConfigError, ReplicatorError, TransientError
from replicator.model.checkpoint import Checkpoint, Gap
from replicator.model.event import CutNumber, Offset
from replicator.model.fingerprint import EMPTY_DIGEST
from replicator.model.operations.pulse import Pulse
from replicator.model.operations.schedule import Timing
from replicator.model.operations.scheduled_run import RunRecord, RunState
from replicator.model.store.drilled import Drilled
from replicator.ports import Freshness, Obstacle
from replicator.ports.notifications import QueueLength
from replicator.services.monitoring.life import Life, LifeSign, LifeSigns
from replicator.services.monitoring.status import (
    LogStatus,
    Pending,
    Promises,
    SourceStatus,
    StatusReader,
    TargetStatus,
)
from replicator.services.monitoring.trouble import Seen, Trouble
from replicator.services.notifications.queues import WebhookQueue
from replicator.services.running.patience import Patience
from replicator.services.schedules.record import ScheduleRecord
from replicator.services.schedules.states import LineState, ScheduledLine, line_states
from replicator.web.status_report import StatusReport, report_json

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
SAID = PrintedCommands(config=Path("/etc/druid-replicator/production.yaml"), environ={})
LONG = "disaster-recovery-standby-in-eu-central-1-with-a-long-name"
CHECKPOINT = Checkpoint(
    source="prod",
    log_id="log",
    offset=Offset(10),
    cut=CutNumber(4),
    source_time=NOW - 5 * SECOND,
    digest=EMPTY_DIGEST,
    paused=False,
)
TARGET = TargetStatus(
    target="standby",
    checkpoint=CHECKPOINT,
    applied_at=NOW,
    lag=5 * SECOND,
    lag_records=0,
    log_gone=False,
    other_log=False,
    gaps=(),
    pending=None,
    log_margin=None,
    cut_short=False,
    trimmed=False,
    promises=Promises(rpo=60 * SECOND, kill_margin_min=DAY, log_margin_min=DAY),
    looked_at=NOW,
    drilled=Drilled(),
)
PULSE = Pulse(
    verb="run", host="watcher-1.example", pid=4711, since=NOW - DAY, seen_at=NOW - SECOND,
    every=5 * SECOND, done_at=NOW - 2 * SECOND,
)  # fmt: skip
STATES = {
    "follows": TARGET,
    "empty": replace(TARGET, checkpoint=None, lag=None),
    "paused": replace(TARGET, checkpoint=replace(CHECKPOINT, paused=True), lag=DAY),
    "alone": replace(TARGET, checkpoint=replace(CHECKPOINT, paused=True, datasource="orders")),
    "promoted": replace(TARGET, checkpoint=replace(CHECKPOINT, promoted=True), lag=None),
    "behind": replace(
        TARGET,
        lag=5 * DAY,
        lag_records=70_000,
        pending=Pending(objects=512, size_bytes=1 << 40, kill_margins={"orders": 3600 * SECOND}),
    ),
    "gone": replace(TARGET, log_gone=True),
    "other": replace(TARGET, other_log=True),
    "short": replace(TARGET, cut_short=True),
    "trimmed": replace(TARGET, trimmed=True, log_margin=-SECOND),
    LONG: TARGET,
}
LOG = LogStatus(log_id="log", records=11, last=None, first=Offset(0))


def alive(life: Life = Life.RUNNING, pulse: Pulse | None = PULSE) -> LifeSign:
    return LifeSign(pulse=pulse, life=life)


def report(
    *, targets: dict[str, TargetStatus], watcher: LifeSign | None = None, log: LogStatus = LOG,
    failures: Mapping[str, ReplicatorError] | None = None,
    last_poll: datetime | None = NOW - 2 * SECOND,
) -> StatusReport:  # fmt: skip
    sign = watcher or alive()
    appliers = dict.fromkeys([*targets, *(failures or {})], sign)
    life = LifeSigns(looked_at=NOW, watcher=sign, appliers=appliers, last_poll=last_poll)
    freshness = Freshness(requested_at=NOW, shows=NOW, is_replica=False)
    seen = Seen(
        life=life,
        source=SourceStatus(freshness=freshness),
        log=log,
        targets=[replace(one, target=name) for name, one in targets.items()],
        failures=failures or {},
    )
    return StatusReport(seen=seen, restorable={})


def shown(found: StatusReport, columns: int = 80) -> list[str]:
    paper = Paper()
    paper.width = columns
    with paper.capture() as captured:
        _show(paper, found, SAID, {})
    return captured.get().splitlines()


def text(found: StatusReport) -> str:
    return " ".join(" ".join(shown(found, 110)).split())


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_no_line_is_wider_than_the_screen_and_no_word_is_cut(columns: int):
    """All states at once, a long name, and a target that cannot be looked at."""
    broken = {"lost": TransientError("postgresql://db/lost: connection refused")}
    everything = report(targets=STATES, failures=broken)
    lines = shown(everything, columns)
    words = {word for line in shown(everything, 110) for word in line.split()}
    assert words == {word for line in lines for word in line.split()}
    copied = ("replicator ", LONG)
    wide = [line for line in lines if len(line) > columns]
    assert all(any(one in line for one in copied) for line in wide), wide
    room = max(len(line) for line in lines) - len(re.match(r" *", lines[-1])[0])  # type: ignore[index]
    assert room > 20


def test_one_broken_target_hides_none_of_the_others():
    broken = {"lost": TransientError("connection refused")}
    found = report(targets=STATES, failures=broken)
    said = text(found)
    assert all(name in said for name in [*STATES, *broken])
    assert "lost cannot be looked at: connection refused" in said
    assert "lost: not known" in said


def test_many_names_are_listed_as_in_a_sentence():
    said = text(report(targets=dict.fromkeys(("a", "b", "c"), TARGET)))
    assert "the same process applies to a, b and c" in said
    assert "kept by a, b and c" in said


def test_a_target_whose_store_alone_is_away_is_not_said_to_keep_nothing_and_all_at_once():
    """Its rows were seen and its store was not: each is said once."""
    away = {"standby": TransientError("its folder is not mounted")}
    found = report(targets={"standby": TARGET}, failures=away)
    said = text(found)
    assert "promises kept by standby" in said
    assert "restore standby: not known" in said
    assert "nothing yet" not in said
    assert _exit_code(found) == TransientError.exit_code


def test_a_log_that_cannot_be_read_is_no_success():
    moved = replace(LOG, log_id="", failure=ConfigError("the log was moved"))
    found = report(targets={"standby": TARGET}, log=moved, watcher=alive(Life.STOPPED))
    assert "the log cannot be read: the log was moved" in text(found)
    assert "replicator run" not in text(found), "it would be refused"
    assert _exit_code(found) == ConfigError.exit_code


def test_whatever_is_wrong_is_an_exit_code_that_a_cron_job_sees():
    """A gap broke no promise, and the exit code was 0 below a list of gaps."""
    gap = Gap(
        key="wiki", datasource="wiki", reason="object_missing", detail="gone", opened=Offset(9)
    )
    found = report(targets={"standby": replace(TARGET, gaps=(gap,))})
    assert "promises kept by standby" in text(found)
    assert f"type: replicator repair standby --config {SAID.config}" in text(found)
    assert _exit_code(found) == 10
    assert _exit_code(report(targets={"standby": TARGET})) == 0


def test_without_the_log_nothing_is_said_that_only_the_log_tells():
    """The watcher may well run: a `run` that is typed now would fence it."""
    away = replace(LOG, log_id="", failure=TransientError("no broker answers"))
    late = replace(TARGET, lag=DAY, lag_records=None)
    silent = LifeSign(pulse=None, life=Life.UNKNOWN, unknown="no broker answers")
    found = report(targets={"standby": late}, log=away, watcher=silent, last_poll=None)
    said = text(found)
    assert "so it is not known whether a watcher runs and when it polled the source" in said
    assert "NOT KNOWN whether a watcher polls the source" in said
    assert "at most 60 s is promised: the log cannot be read, so it is not known" in said
    assert f"replicator points --from standby --config {SAID.config}" in said
    assert "waits not known" in said
    for wrong in ("has ever polled", "replicator run", "nothing yet", "all that the log has"):
        assert wrong not in said


def test_a_setting_by_which_the_log_would_lose_records_is_named_while_nothing_is_lost():
    threat = Obstacle(what="topic a would lose history: retention.ms is 1", remedy="set it")
    found = report(targets={"standby": TARGET})
    seen = replace(found.seen, log=replace(found.seen.log, threat=threat))
    said = text(replace(found, seen=seen))
    assert "wrong topic a would lose history: retention.ms is 1: set it" in said


def test_what_is_typed_next_names_the_configuration():
    found = report(targets={"paused": STATES["paused"]}, watcher=alive(Life.STOPPED))
    lines = [line.strip() for line in shown(found)]
    config = f"--config {SAID.config}"
    assert f"type: replicator run {config}" in lines
    assert f"replicator apply paused --resume --once {config}" in lines


def test_an_applier_that_has_just_begun_is_said_to_be_so():
    begun = alive(pulse=replace(PULSE, done_at=None, verb="apply"))
    found = report(targets={"standby": TARGET})
    life = replace(found.seen.life, appliers={"standby": begun})
    said = text(replace(found, seen=replace(found.seen, life=life)))
    assert "is not up to date yet" in said


def test_what_waits_without_bytes_says_so_and_no_rate():
    waits = replace(
        TARGET, lag_records=8, pending=Pending(objects=0, size_bytes=0, kill_margins={})
    )
    said = text(report(targets={"standby": waits}))
    assert "waits standby: 8 records of the log, no bytes: how long is not known" in said
    assert "/s" not in said


def test_what_a_webhook_was_not_told_is_wrong_and_why_it_waits_is_said():
    lengths = {
        "chat": QueueLength(waiting=0, dead=0),
        "desk": QueueLength(waiting=2, dead=0, error="desk did not answer within 10 s"),
        "pager": QueueLength(waiting=1, dead=3, error="hooks.example answered 500"),
    }
    queues = [WebhookQueue(webhook=name, length=length) for name, length in lengths.items()]
    queues.append(WebhookQueue(webhook="else", length=lengths["chat"], unknown="no such folder"))
    found = replace(report(targets={"standby": TARGET}), webhooks=queues)
    said = text(found)
    assert "webhooks chat: everything was delivered" in said
    assert "desk: 2 to go: desk did not answer within 10 s" in said
    assert "pager: 1 to go, 3 DEAD: hooks.example answered 500" in said
    assert "else: not known: no such folder" in said
    assert "wrong pager did not take 3 notifications, which will not be sent again:" in said
    assert "notifications list --state dead" in said
    assert [one["dead"] for one in report_json(found, Trouble.typed)["webhooks"]] == [0, 0, 3, 0]


def test_a_scheduled_run_that_was_not_good_is_wrong():
    timing = Timing(
        cron="0 5 * * *", time_zone="UTC", jitter=timedelta(0), late_max=timedelta(hours=1)
    )
    states = list[LineState]()
    for name, state in (("a", "good"), ("b", "bad"), ("c", "running"), ("d", "skipped")):
        line = ScheduledLine(
            schedule=name, target="vault", kind="drill", verb="drill vault", timing=timing,
            record=ScheduleRecord(MemoryArea()),
        )  # fmt: skip
        run = RunRecord(
            schedule=name, target="vault", due=NOW - DAY, attempt=1, state=RunState(state),
            started_at=NOW - DAY, lease_until=NOW - DAY, host="watcher-1",
            message="" if state == "running" else "so it is",
        )  # fmt: skip
        states.append(LineState(line=line, last=run, last_good=None, next_due=NOW, looked_at=NOW))
    found = replace(report(targets={"standby": TARGET}), schedules=states)
    assert [one.what.partition("of vault was ")[2].split(" ", 1)[0] for one in found.wrong] == [
        "bad",
        "lost",
        "skipped",
    ]
    said = text(found)
    assert "the schedule b (drill) of vault was bad 24.0 h ago: so it is" in said
    assert [one.typed() for one in found.wrong] == ["replicator drill vault"] * 3
    assert "type: replicator drill vault" in said
    assert "was lost 24.0 h ago: its process on watcher-1 ended without a word" in said


class OneHangs:
    """An application of two targets, of which `a` takes a question and never answers."""

    target_names = ("a", "b")

    async def target_status(self, reader: object, name: str, log: LogStatus) -> TargetStatus:
        if name == "a":
            await asyncio.Event().wait()
        return replace(TARGET, target=name)

    async def windows(self, name: str, log_id: str) -> str:
        return f"the windows of {name}"


async def test_a_target_that_hangs_hides_no_other():
    targets = _Targets(cast("Application", OneHangs()), cast("StatusReader", None), LOG)
    async with asyncio.timeout(30):
        await targets.look(Patience(0.05))
    assert [one.target for one in targets.found] == targets.names_seen == ["b"]
    assert [*targets.restorable] == ["b"]
    assert str(targets.failures["a"]) == "target 'a' did not answer within 0.05 s"
    found = report(targets={"b": TARGET}, failures=targets.failures)
    assert any("did not answer within 0.05 s" in line for line in shown(found, 200))
    assert _exit_code(found) == TransientError.exit_code


async def test_a_store_that_hangs_hides_no_schedule_of_others():
    class HangingArea(MemoryArea):
        async def names(self, prefix: str) -> list[str]:
            await asyncio.Event().wait()
            return []

    timing = Timing(
        cron="0 5 * * *", time_zone="UTC", jitter=timedelta(0), late_max=timedelta(hours=1)
    )
    lines = [
        ScheduledLine(
            schedule="drills", target=name, kind="drill", timing=timing, record=ScheduleRecord(area)
        )
        for name, area in (("a", HangingArea()), ("b", MemoryArea()))
    ]
    async with asyncio.timeout(30):
        found = await line_states(lines, NOW, Patience(0.05))
    assert [(one.line.target, one.unknown) for one in found] == [
        ("a", "target 'a' did not answer within 0.05 s"),
        ("b", ""),
    ]


def test_a_process_whose_log_lines_are_lost_is_named_once():
    full = replace(PULSE, unlogged="No space left on device")
    found = text(report(targets={"standby": TARGET}, watcher=alive(pulse=full)))
    assert found.count("cannot write its log: No space left on device") == 1
    assert "cannot write its log" not in text(report(targets={"standby": TARGET}))
    stopped = alive(Life.STOPPED, full)
    assert "its log" not in text(report(targets={"standby": TARGET}, watcher=stopped))


def test_drops_that_were_not_looked_for_are_not_none():
    found = report(targets={"standby": TARGET})
    assert report_json(found, lambda _: "")["dropped"] is None
    assert report_json(replace(found, drops=()), lambda _: "")["dropped"] == []
