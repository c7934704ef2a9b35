"""Who is running, and for how long nobody has polled, as `status` says it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from replicator.adapters.memory.log import MemoryEventLog
from replicator.cli.look.status import _source
from replicator.cli.terminal.paragraphs import Paragraph, paragraphs
from replicator.errors import (
    ConfigError,
    CorruptionError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from replicator.model.observation import (
    Followed,
    Muted,
    Observation,
    Polled,
    StreamBegun,
    StreamEnded,
    StreamFollowed,
    StreamRetained,
)
from replicator.model.observed.faults import Halted, Waiting, WentOn
from replicator.model.operations.pulse import (
    BEAT_S,
    BYTES_MAX,
    WATCH,
    HaltedService,
    Pulse,
    apply_to,
    pulse_json,
    pulse_of,
)
from replicator.ports import Freshness
from replicator.services.monitoring.life import Ear, Life, at_work, refuse_beside
from replicator.services.monitoring.status import SourceStatus
from replicator.services.monitoring.trouble import Seen, Trouble, troubles
from replicator.services.running import heart as module
from replicator.services.running.heart import NO_LOG_YET_S, Heart
from replicator.web.status_json import life_json, stream_json
from tests.builders import TIME, segment
from tests.simulation.virtual_time import in_virtual_time
from tests.unit.pipeline import SOURCE, HandClock, Pipeline
from tests.unit.services.monitoring.test_status import look, seen_of, surveyed

POLLED = Polled(scanned_rows=1, fingerprinted_rows=0, full=False, poll_s=0.1)


def heart(pipeline: Pipeline, who: str = WATCH, told: list[Observation] | None = None) -> Heart:
    now = pipeline.clock.now()
    pulse = Pulse(
        verb="run", host="a", pid=123, since=now, seen_at=now, every=timedelta(seconds=BEAT_S)
    )
    observer = (told if told is not None else pipeline.seen).append
    return Heart(pipeline.log, who, pulse=pulse, clock=pipeline.clock, observer=observer)


async def followed(*, polled: bool = True) -> tuple[Pipeline, Heart]:
    """A target at the log's end, and a watcher that has said so."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    beating = heart(pipeline)
    if polled:
        beating.observe(POLLED)
    await beating.beat()
    return pipeline, beating


async def looked(pipeline: Pipeline) -> Seen:
    reader = surveyed(pipeline)
    return await seen_of(pipeline, await look(pipeline, reader), log=await reader.log())


def said(seen: Seen) -> Trouble:
    return troubles(seen)[0]


async def test_a_clock_of_the_source_that_was_ahead_once_is_named():
    """Times of cuts never go back: until this clock is there, a lag looked like none."""
    pipeline, _ = await followed()
    seen = await looked(pipeline)
    assert not [one for one in troubles(seen) if "ahead" in one.what]
    behind = replace(seen.life, looked_at=seen.life.looked_at - timedelta(days=1))
    (found,) = [one for one in troubles(replace(seen, life=behind)) if "ahead" in one.what]
    assert "24.0 h ahead of this machine's clock" in found.what


async def test_a_watcher_that_polls_is_running_and_nothing_is_overdue():
    pipeline, beating = await followed()
    pipeline.clock.move(50)
    beating.observe(POLLED)
    await beating.beat()
    pipeline.clock.move(11)
    seen = await looked(pipeline)
    assert (seen.life.watcher.life, seen.is_overdue) == (Life.RUNNING, False)
    assert seen.life.unpolled == timedelta(seconds=11)
    assert seen.life.appliers["standby"].life is Life.UNKNOWN


class NoLogYet(MemoryEventLog):
    """The watcher has not made the log yet."""

    async def beat(self, who: str, said: bytes) -> None:
        raise NotFoundError("there is no log yet")


@pytest.mark.parametrize("is_there", [False, True])
async def test_where_there_is_no_log_yet_the_next_heartbeat_comes_soon(
    is_there: bool, monkeypatch: pytest.MonkeyPatch
):
    """Otherwise `status` would say for seconds that nothing runs, while the log is filled."""
    (pipeline, beating), stop, paused = await followed(), asyncio.Event(), list[float]()

    async def pause(_: asyncio.Event, wait_s: float) -> None:
        paused.append(wait_s)
        stop.set()

    monkeypatch.setattr(module, "pause", pause)
    if not is_there:
        beating._pulses = NoLogYet(pipeline.clock, SOURCE)
    await beating.run(stop)
    assert paused == [BEAT_S if is_there else NO_LOG_YET_S]


async def test_one_that_was_killed_is_silent_and_overdue_after_the_promise():
    pipeline, _ = await followed()
    pipeline.clock.move(59)
    seen = await looked(pipeline)
    assert (seen.life.watcher.life, seen.is_overdue) == (Life.SILENT, False)
    pipeline.clock.move(2)
    seen = await looked(pipeline)
    assert seen.is_overdue
    assert (
        "no watcher has polled the source since 2024-06-01T00:00:10Z, 61 s ago" in said(seen).what
    )
    assert "`run` on a, pid 123, was seen 61 s ago for the last time" in said(seen).what
    assert said(seen).remedy == "run"


async def test_one_that_is_gone_is_wrong_before_the_promise_breaks():
    pipeline, beating = await followed()
    await beating.end()
    pipeline.clock.move(20)
    seen = await looked(pipeline)
    assert (seen.is_overdue, seen.keeps_promises) == (False, True)
    assert said(seen) == Trouble(
        "no watcher is running: `run` on a, pid 123, was stopped 20 s ago; the promise breaks"
        " in 40 s",
        "run",
    )


async def test_one_that_ends_by_itself_is_missed_when_the_promise_breaks():
    pipeline, beating = await followed()
    beating._pulse = replace(beating._pulse, verb="watch --once")
    await beating.end()
    pipeline.clock.move(20)
    assert not [one for one in troubles(await looked(pipeline)) if "watcher" in one.what]
    pipeline.clock.move(41)
    assert said(await looked(pipeline)).remedy == "watch --once"


async def test_the_first_watcher_has_the_time_that_is_promised():
    """On the page of a `run` that was just started: no log has been made yet."""
    pipeline = Pipeline()
    beating = heart(pipeline)
    own = {WATCH: beating.pulse}.get

    async def seen() -> Seen:
        found = await looked(pipeline)
        log = await surveyed(pipeline).log()
        life = await Ear(pipeline.log, pipeline.clock, own=own).life_signs(["standby"], log)
        return replace(found, life=life)

    pipeline.clock.move(4)
    begun = await seen()
    assert (begun.life.watcher.life, begun.is_overdue) == (Life.RUNNING, False)
    (late,) = [one for one in troubles(begun) if "watcher" in one.what]
    assert late.what.endswith("the watcher was just started and polls now")
    pipeline.clock.move(57)
    assert (await seen()).is_overdue


async def test_an_applier_that_ends_by_itself_does_not_speak_for_one_that_goes_on():
    """`apply --resume --once` is typed beside a `run`."""
    pipeline, _ = await followed()
    running = heart(pipeline, apply_to("standby"))
    await running.beat()
    once = heart(pipeline, apply_to("standby"))
    once._pulse = replace(once._pulse, verb="apply --once", pid=124)
    await once.end()
    assert (await looked(pipeline)).life.appliers["standby"].life is Life.RUNNING
    pipeline.clock.move(60)
    await once.end()
    assert (await looked(pipeline)).life.appliers["standby"].life is Life.STOPPED


async def test_what_must_not_be_done_beside_one_that_runs_is_refused_with_its_name():
    pipeline, beating = await followed()
    pipeline.clock.move(2)
    with pytest.raises(RefusedError, match=r"`run` on a, pid 123, is running, it was seen 2\.0 s"):
        refuse_beside((await looked(pipeline)).life, "a move of the log")
    pipeline.clock.move(14)
    refuse_beside((await looked(pipeline)).life, "a move of the log")
    await beating.beat()
    await beating.end()
    refuse_beside((await looked(pipeline)).life, "a move of the log")


async def test_one_that_was_stopped_says_so():
    pipeline, beating = await followed()
    await beating.end()
    pipeline.clock.move(61)
    seen = await looked(pipeline)
    assert (seen.life.watcher.life, seen.is_overdue) == (Life.STOPPED, True)
    assert "was stopped then" in said(seen).what


async def test_one_that_runs_and_cannot_poll_says_what_it_waits_for():
    pipeline, beating = await followed()
    pipeline.clock.move(61)
    beating.observe(Waiting(what="poll the source", reason="db1 is away", delay_s=1.0))
    await beating.beat()
    seen = await looked(pipeline)
    assert (seen.life.watcher.life, seen.is_overdue) == (Life.RUNNING, True)
    assert "is running: it waits for db1 is away" in said(seen).what
    assert said(seen).remedy == "check"
    beating.observe(POLLED)
    await beating.beat()
    assert not (await looked(pipeline)).is_overdue


def read_by(pipeline: Pipeline, *, whole: bool = True, retained: int = 7 << 20) -> StreamFollowed:
    return StreamFollowed(
        messages=22,
        told_until=pipeline.clock.now() if whole else None,
        behind_bytes=0 if whole else 3 << 20,
        retained_bytes=retained,
        retained_bytes_max=4 << 30,
        read_s=0.1,
    )


async def streamed(*told: Observation) -> tuple[Pipeline, Heart, Seen]:
    """A minute and a half after a read of the change stream, and what was told since."""
    pipeline, beating = await followed()
    beating.observe(StreamBegun())
    beating.observe(read_by(pipeline))
    pipeline.clock.move(90)
    for one in told or (read_by(pipeline),):
        beating.observe(one)
    beating.observe(POLLED)
    await beating.beat()
    return pipeline, beating, await looked(pipeline)


def of_stream(seen: Seen) -> list[Trouble]:
    return [one for one in troubles(seen) if "change stream" in one.what]


def shown(seen: Seen) -> str:
    """What `status` says of the source."""
    return " ".join(_source(seen))


async def test_a_change_stream_that_is_followed_is_told_and_no_trouble():
    pipeline, beating, seen = await streamed()
    assert not of_stream(seen)
    assert (
        "change stream: each commit is a cut since 2024-06-01T00:00:10Z, read 0.0 s ago; it keeps"
        in shown(seen)
    )
    found = stream_json(seen.life)
    assert found is not None
    assert (found["up"], found["behind_seconds"], found["retained_bytes"]) == (True, 0.0, 7 << 20)
    await beating.end()
    assert stream_json((await looked(pipeline)).life) is None, (
        "a watcher that ended follows nothing"
    )


async def test_a_whole_read_of_the_stream_counts_as_a_poll_for_those_who_wait_for_one():
    """While a stream is followed nothing but audits is a poll; a drain would wait for hours."""
    pipeline, beating = await followed()
    assert beating.pulse.polls == 1
    beating.observe(read_by(pipeline, whole=False))
    assert beating.pulse.polls == 1, "more of what was committed is still to come"
    beating.observe(read_by(pipeline))
    assert beating.pulse.polls == 2


@pytest.mark.parametrize(
    ("told", "trouble"),
    [
        (StreamEnded(reason="there is no replication slot"), "there is no replication slot"),
        (StreamRetained(bytes=3 << 30, bytes_max=4 << 30), "drops it at 4.0 GiB"),
    ],
)
async def test_a_stream_that_is_off_or_keeps_too_much_is_a_trouble(told: Observation, trouble: str):
    pipeline, beating, _ = await streamed()
    beating.observe(read_by(pipeline))
    beating.observe(told)
    await beating.beat()
    (found,) = of_stream(await looked(pipeline))
    assert trouble in found.what
    assert found.remedy == "check"


async def test_a_stream_that_is_polled_says_since_when_and_comes_back():
    pipeline, beating, seen = await streamed(StreamEnded(reason="a table was emptied"))
    (found,) = of_stream(seen)
    assert "polled since 2024-06-01T00:01:40Z" in found.what
    assert "change stream: OFF since 2024-06-01T00:01:40Z" in shown(seen)
    pipeline.clock.move(60)
    beating.observe(StreamEnded(reason="there is no slot"))
    await beating.beat()
    seen = await looked(pipeline)
    assert "OFF since 2024-06-01T00:01:40Z" in shown(seen), "another reason is no other beginning"
    beating.observe(StreamBegun())
    beating.observe(read_by(pipeline))
    await beating.beat()
    assert not of_stream(await looked(pipeline))


async def test_a_stream_that_is_told_more_slowly_than_it_grows_is_a_trouble():
    pipeline, beating, _ = await streamed()
    pipeline.clock.move(61)
    beating.observe(read_by(pipeline, whole=False))
    await beating.beat()
    (found,) = of_stream(await looked(pipeline))
    assert "the change stream is 61 s behind: 3.0 MiB" in found.what


async def test_without_a_word_the_log_tells_when_the_source_was_polled():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    seen = await looked(pipeline)
    assert (seen.life.watcher.life, seen.life.unpolled) == (Life.UNKNOWN, timedelta(0))
    pipeline.clock.move(61)
    assert (await looked(pipeline)).is_overdue


async def test_a_promoted_target_needs_nobody_who_polls():
    pipeline, _ = await followed()
    kept = pipeline.target.sources[SOURCE]
    assert kept.checkpoint is not None
    kept.checkpoint = replace(kept.checkpoint, promoted=True)
    pipeline.clock.move(3600)
    seen = await looked(pipeline)
    assert (seen.is_overdue, seen.keeps_promises) == (False, True)


async def test_an_applier_that_is_gone_is_named_with_what_starts_it():
    pipeline, watching = await followed()
    applying = heart(pipeline, apply_to("standby"))
    applying.observe(Followed())
    await applying.beat()
    pipeline.clock.move(120)
    pipeline.publish(segment(partition=1))
    await pipeline.cut()
    watching.observe(POLLED)
    await watching.beat()
    seen = await looked(pipeline)
    assert not seen.is_overdue
    (lag,) = [one for one in troubles(seen) if "behind" in one.what]
    assert "`run` on a, pid 123, is not running" in lag.what
    assert lag.remedy == "run"


class Denied(MemoryEventLog):
    async def beat(self, who: str, data: bytes) -> None:
        raise ConfigError("the group is denied")


class Away(MemoryEventLog):
    async def beat(self, who: str, data: bytes) -> None:
        raise TransientError("the broker is away")


class Altered(MemoryEventLog):
    async def beat(self, who: str, data: bytes) -> None:
        raise CorruptionError("a file beside the log is altered")


@pytest.mark.parametrize(("log", "told"), [(Denied, 1), (Altered, 1), (Away, 0)])
async def test_a_log_that_does_not_hear_stops_nothing(log: type[MemoryEventLog], told: int):
    clock, seen = HandClock(), list[Observation]()
    now = clock.now()
    pulse = Pulse(verb="run", host="a", pid=1, since=now, seen_at=now, every=timedelta(seconds=5))
    beating = Heart(log(clock, SOURCE), WATCH, pulse=pulse, clock=clock, observer=seen.append)
    await beating.beat()
    await beating.beat()
    assert [type(one) for one in seen] == [Muted] * told


def test_times_beyond_the_calendar_are_believed_nothing():
    now = HandClock().now()
    far, first = (datetime(year, 1, 1, tzinfo=UTC) for year in (9000, 1970))
    every = timedelta(seconds=5)
    pulse = Pulse(
        verb="run", host="a", pid=1, since=first, seen_at=far, every=every, done_at=first
    ).heard_at(now)
    assert (pulse.since, pulse.seen_at, pulse.done_at) == (now, now, None)


async def test_it_beats_until_it_is_told_to_stop_and_says_that():
    pipeline, beating = await followed()
    stop = asyncio.Event()
    task = asyncio.create_task(beating.run(stop))
    await asyncio.sleep(0)
    stop.set()
    await task
    pulse = pulse_of(await pipeline.log.heard(WATCH) or b"")
    assert pulse is not None
    assert pulse.ended_at == pipeline.clock.now()
    assert pulse_of(pulse_json(pulse)) == pulse


@pytest.mark.parametrize("halts", [1, 9])
async def test_no_error_is_so_long_that_nobody_hears_the_process(halts: int):
    """Kafka takes 4096 bytes: a passive second would take over from a process that works."""
    _, beating = await followed()
    halt = HaltedService(
        what="apply to standby",
        reason="wiki/é" * 200_000,
        hint="correct it" * 200_000,
        exit_code=9,
        since=TIME,
        retry=timedelta(seconds=30),
    )
    said = pulse_json(replace(beating.pulse, waits="ü" * 500_000, halts=(halt,) * halts))
    assert len(said) <= BYTES_MAX
    pulse = pulse_of(said)
    assert pulse is not None
    assert len(pulse.halts) == halts
    assert all(one.reason.startswith("wiki/") and one.reason[-1] == "…" for one in pulse.halts)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"verb":"run","pid":"x"}'])
def test_a_damaged_word_is_none(data: bytes):
    assert pulse_of(data) is None


@pytest.mark.parametrize("verb", ["run; reboot", "run `x`", "run\n", "Run", "", "run --x=y"])
async def test_a_verb_that_nobody_should_type_is_none(verb: str):
    """It is printed as the command that starts a dead process again."""
    _, beating = await followed()
    assert pulse_of(pulse_json(beating.pulse)) is not None
    assert pulse_of(pulse_json(replace(beating.pulse, verb=verb))) is None


@pytest.mark.parametrize(
    "altered",
    [
        {"seen_at": "2026-11-30T00:00:00"},
        {"since": "0001-01-01T00:00:00+14:00"},
        {"done_at": "2026-11-30T00:00:00"},
        {"every_s": 1e300},
        {"every_s": 8e13},
        {"every_s": -1},
        {"polls": "9" * 40},
        {"change_stream": {"since": "2026-11-30T00:00:00"}},
    ],
)
async def test_a_word_that_cannot_be_reckoned_with_is_none(altered: dict[str, object]):
    """Whoever can write to the log can say anything; `status` would end by it."""
    pipeline, beating = await followed()
    said = orjson.loads(pulse_json(beating.pulse))
    assert pulse_of(orjson.dumps(said)) == beating.pulse
    await pipeline.log.beat(WATCH, orjson.dumps(said | altered))
    assert (await looked(pipeline)).life.watcher.life is Life.UNKNOWN


@pytest.mark.parametrize("width", [1, 40, 80, 200])
def test_no_word_is_cut_at_any_width(width: int):
    text = "no watcher has polled the source since 2026-11-29T23:30:57.884298Z, a while ago: " * 3
    command = "  type: replicator apply standby --resume --once --config /etc/a/b/c/d/e/f/g.yaml"
    lines = list(paragraphs([Paragraph("wrong", [text, command]), Paragraph("x", ["y"])], width))
    assert " ".join(" ".join(lines).split()) == f"wrong {text}{command.strip()} x y"
    assert command in lines[-2]
    assert all(len(line) <= max(width, 40) for line in lines[:-2])
    assert lines[-1] == "x      y"


async def test_a_start_takes_over_from_whoever_works_and_not_from_the_dead():
    """`run` at a terminal asks then; on one machine it goes on by itself after a kill."""
    pipeline, beating = await followed()

    async def found(who: str = WATCH, *, here: str = "b", lives: bool = True) -> list[int]:
        life = (await looked(pipeline)).life
        return [one.pid for one in at_work(life, [who], host=here, is_alive=lambda _: lives)]

    assert await found() == [123]
    assert await found(here="a") == [123]
    assert await found(here="a", lives=False) == [], "it was killed on this machine"
    assert await found(apply_to("standby")) == []
    pipeline.clock.move(3 * BEAT_S + 1)
    assert await found() == [], "it was not heard for long"
    await beating.beat()
    assert await found() == [123]
    await beating.end()
    assert await found() == []


async def test_who_waits_is_wrong_at_once_and_not_only_when_a_promise_breaks():
    """The source's storage is away: the applier says so, and nothing else shows it for minutes."""
    pipeline, beating = await followed()
    applier = heart(pipeline, apply_to("standby"))
    away = Waiting(what="copy a segment", reason="the folder is not there", delay_s=1)
    applier.observe(away)
    await applier.beat()
    seen = await looked(pipeline)
    assert not seen.is_overdue
    assert Trouble("standby waits: the folder is not there", "check") in troubles(seen)
    applier.observe(Followed())
    await applier.beat()
    assert not [one for one in troubles(await looked(pipeline)) if "waits" in one.what]
    beating.observe(away)
    await beating.beat()
    seen = await looked(pipeline)
    now = pipeline.clock.now()
    fresh = Freshness(requested_at=now, shows=now, is_replica=False)
    answers = replace(seen, source=SourceStatus(freshness=fresh))
    assert Trouble("the watcher waits: the folder is not there", "check") in troubles(answers)


async def test_a_target_that_an_error_has_halted_is_wrong_until_it_goes_on():
    pipeline, beating = await followed()
    applier = heart(pipeline, apply_to("standby"))
    beating.observe(POLLED)
    for what in ("apply to standby", "write a base of standby"):
        applier.observe(
            Halted(
                what=what,
                reason="expiry/1.json is altered",
                hint="run `replicator verify TARGET --level checksum`",
                exit_code=9,
                retry_s=60,
            )
        )
        pipeline.clock.move(30)
    applier.observe(Followed())
    assert pulse_of(pulse_json(applier.pulse)) == applier.pulse
    await applier.beat()
    await beating.beat()
    seen = await looked(pipeline)
    assert said(seen) == Trouble(
        "standby has halted 60 s ago (apply to standby): expiry/1.json is altered; run"
        " `replicator verify standby --level checksum`; everything else goes on, and it looks again"
        " each 60 s"
    )
    assert sum("halted" in one.what for one in troubles(seen)) == 1, "each reason once"
    (told,) = life_json(seen.life)["appliers"]
    assert [one["exit_code"] for one in told["halted"]] == [9, 9]
    for what in ("apply to standby", "write a base of standby"):
        applier.observe(WentOn(what=what))
    await applier.beat()
    assert not [one for one in troubles(await looked(pipeline)) if "halted" in one.what]


async def test_what_halts_the_watcher_names_no_target_in_its_command():
    """`replicator target create the watcher` could not be typed."""
    pipeline, beating = await followed()
    beating.observe(
        Halted(
            what="poll the source",
            reason="there is no table",
            hint="`replicator target create TARGET` makes those of a target",
            exit_code=2,
            retry_s=60,
        )
    )
    await beating.beat()
    (halted,) = [one for one in troubles(await looked(pipeline)) if "has halted" in one.what]
    assert halted.what.startswith("the watcher has halted")
    assert "`replicator target create TARGET`" in halted.what


@pytest.mark.parametrize("lives", [False, True])
def test_a_clock_that_was_ahead_keeps_nobody_alive(*, lives: bool):
    """A heartbeat from tomorrow is judged by whether another one follows it."""

    async def within() -> None:
        pipeline, beating = await followed()
        ear = Ear(pipeline.log, pipeline.clock)
        pipeline.clock.move(86_400)
        beating.observe(POLLED)
        await beating.beat()
        pipeline.clock.move(-86_400 + 90)
        stop = asyncio.Event()
        going_on = asyncio.create_task(ahead(pipeline, beating, stop)) if lives else None
        log = await surveyed(pipeline).log()
        loop = asyncio.get_running_loop()
        took_s = list[float]()
        lives_seen = []
        for _ in range(2):
            begun_s = loop.time()
            lives_seen.append(await ear.life_signs(["standby"], log))
            took_s.append(loop.time() - begun_s)
        life = lives_seen[-1]
        seen = replace(await looked(pipeline), life=life)
        if going_on is not None:
            stop.set()
            await going_on
            assert (life.watcher.life, seen.is_overdue) == (Life.RUNNING, False)
            assert life.unpolled == timedelta(0), "by the clock of who has heard it"
            assert took_s[0] <= BEAT_S
        else:
            assert (life.watcher.life, seen.is_overdue) == (Life.SILENT, True)
            assert life.unpolled == timedelta(seconds=90), "by the log: it said no time"
            assert took_s == [3 * BEAT_S, 0], "it is watched once"

    in_virtual_time(within())


async def ahead(pipeline: Pipeline, beating: Heart, stop: asyncio.Event) -> None:
    """Go on with heartbeats whose times are a day ahead."""
    count = 0
    while not stop.is_set():
        count += 1
        pipeline.clock.move(86_400 + count)
        beating.observe(POLLED)
        await beating.beat()
        pipeline.clock.move(-86_400 - count)
        await asyncio.sleep(1)
