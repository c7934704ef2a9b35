"""Operators are told once what broke and what is mended, over restarts and receivers that are away.

Receivers are real HTTP servers, the journal is a real file.
"""

import asyncio
import hmac
import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from replicator.adapters.sqlite.journal import SqliteJournal
from replicator.adapters.webhook import HttpCaller
from replicator.errors import ConfigError, TransientError
from replicator.model.checkpoint import Gap
from replicator.model.observation import NotificationSent, NotificationsQueued, Observation
from replicator.model.observed.faults import Halted, Waiting, WentOn
from replicator.model.operations.pulse import apply_to
from replicator.model.operations.retry import RetryPolicy
from replicator.ports.notifications import DeliveryState
from replicator.services.monitoring.life import Ear
from replicator.services.monitoring.poller import Poller, Watched
from replicator.services.notifications.dead_mans_switch import DeadMansSwitch
from replicator.services.notifications.queues import webhook_queues
from replicator.services.notifications.sender import Sender, Webhook
from replicator.services.notifications.watch import PromiseWatch, WatchRules
from replicator.services.records.drill_record import DrillRecord
from tests.builders import segment
from tests.servers.fake_http import Fake, serving
from tests.unit.pipeline import SOURCE, Pipeline
from tests.unit.services.drills.test_drills import made
from tests.unit.services.monitoring.test_life import heart
from tests.unit.services.monitoring.test_status import PROMISES, surveyed
from tests.unit.web.test_web import Away

SECRET = "a secret of enough bytes"
RETRY = RetryPolicy(attempts_max=3, delay_initial_s=10, delay_max_s=1000)
MINUTE_S = 60


class Operated:
    """A pipeline whose operator is told, wired as the application does it."""

    def __init__(self, folder: Path, url: str) -> None:
        self.pipeline = pipeline = Pipeline()
        pipeline.target = self.target = Away(pipeline.clock)
        self.area, self.url, self.folder = pipeline.area, url, folder
        pipeline.watcher = pipeline.new_watcher()
        pipeline.applier = pipeline.new_applier()
        self.clock, self.told, self.published = pipeline.clock, list[Observation](), 0
        self.start()

    def start(self) -> None:
        """As a new process: only the journal is what it was."""
        pipeline = self.pipeline

        async def life(log):
            return await Ear(pipeline.log, pipeline.clock).life_signs(["standby"], log)

        poller = Poller(
            status_reader=surveyed(pipeline),
            targets={"standby": Watched(metadata=self.target, area=self.area, promises=PROMISES)},
            clock=self.clock,
            interval_s=15,
            life=life,
        )
        rules = WatchRules(
            source=SOURCE,
            webhooks={"pager": ("promise", "gap", "drill", "status"), "deaf": ("job",)},
            settle=timedelta(seconds=MINUTE_S),
            interval_s=15,
        )
        self.watch = PromiseWatch(
            rules,
            poller,
            self.journal(),
            clock=self.clock,
            rng=Random(),
            observer=self.told.append,
        )
        self.sender = self.new_sender()

    def journal(self, *, waiting_max: int = 100, kept_max: int = 100) -> SqliteJournal:
        path = self.folder / "journal.sqlite"
        return SqliteJournal(path, waiting_max=waiting_max, kept_max=kept_max)

    def new_sender(self, name: str = "pager") -> Sender:
        caller = HttpCaller(lambda: self.url, ca_file=None, timeout_s=5)
        return Sender(
            Webhook(name=name, caller=caller, secret=lambda: SECRET, timeout_s=5),
            self.journal(),
            retry=RETRY,
            clock=self.clock,
            rng=Random(1),
            observer=self.told.append,
        )

    async def passes(self, seconds: float) -> None:
        """Look before and after some time without a poll of the source."""
        await self.watch.look()
        self.clock.move(seconds)
        await self.watch.look()

    async def works(self) -> None:
        """Poll and follow, for long enough that what is mended has settled."""
        for _ in range(3):
            self.clock.move(31)
            await self.follows()
            await self.watch.look()

    async def follows(self) -> None:
        self.published += 1
        self.pipeline.publish(segment(f"d{self.published}"))
        await self.pipeline.cut(move_s=0)
        await self.pipeline.follow()

    async def delivers(self) -> None:
        while await self.sender.send_next():
            pass


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Fake, str]]:
    async with AsyncExitStack() as stack:
        fake = Fake()
        yield fake, await stack.enter_async_context(serving(fake))


@pytest.fixture
async def operated(receiver: tuple[Fake, str], tmp_path: Path) -> Operated:
    found = Operated(tmp_path, receiver[1])
    await found.works()
    return found


def types(fake: Fake) -> list[tuple[str, str | None, str]]:
    bodies = [json.loads(body) for _, _, body, _ in fake.asked]
    return [(body["type"], body["target"], body["name"]) for body in bodies]


BROKEN = [("promise.broken", "standby", "rpo"), ("promise.broken", None, "poll")]


async def test_a_broken_promise_and_its_end_are_told_once_each(
    operated: Operated, receiver: tuple[Fake, str]
):
    fake, _ = receiver
    await operated.delivers()
    assert fake.asked == []
    await operated.passes(90)
    await operated.passes(MINUTE_S)
    await operated.passes(MINUTE_S)
    await operated.delivers()
    assert sorted(types(fake), key=str) == sorted(BROKEN, key=str)
    await operated.works()
    await operated.works()
    await operated.delivers()
    assert sorted(types(fake)[2:], key=str) == sorted(
        [("promise.kept", "standby", "rpo"), ("promise.kept", None, "poll")], key=str
    )


async def test_what_is_sent_is_signed_and_dated(operated: Operated, receiver: tuple[Fake, str]):
    fake, _ = receiver
    await operated.passes(90)
    await operated.passes(MINUTE_S)
    await operated.delivers()
    (_, _, body, _), headers = fake.asked[0], fake.received[0]
    id_, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
    over = f"{id_}.{timestamp}.".encode() + body
    signature = b64encode(hmac.new(SECRET.encode(), over, sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{signature}"
    assert int(timestamp) == int(operated.clock.now().timestamp())
    found = json.loads(body)
    assert (found["id"], found["source"]) == (id_, SOURCE)
    assert headers["content-type"] == "application/json"
    assert len({one["webhook-id"] for one in fake.received}) == len(fake.received)


async def test_a_restart_tells_nothing_again_and_forgets_nothing(
    operated: Operated, receiver: tuple[Fake, str]
):
    fake, _ = receiver
    await operated.passes(90)
    operated.start()  # between the look that saw it and the one that tells it
    await operated.passes(MINUTE_S)
    operated.start()  # between telling and delivering
    await operated.passes(MINUTE_S)
    await operated.delivers()
    operated.start()
    await operated.passes(MINUTE_S)
    await operated.delivers()
    assert len(fake.asked) == 2


async def test_two_processes_tell_a_change_once(operated: Operated, receiver: tuple[Fake, str]):
    fake, _ = receiver
    first = operated.watch
    operated.start()
    await operated.passes(90)
    operated.clock.move(MINUTE_S)
    async with asyncio.TaskGroup() as group:
        for watch in (first, operated.watch):
            group.create_task(watch.look())
    senders = [operated.new_sender() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        for sender in senders:
            group.create_task(sender.send_next())
    for sender in senders:
        while await sender.send_next():
            pass
    assert sorted(types(fake), key=str) == sorted(BROKEN, key=str)


async def test_a_receiver_that_fails_is_tried_again_in_order_and_then_given_up(
    operated: Operated, receiver: tuple[Fake, str]
):
    fake, _ = receiver
    fake.status = 500
    await operated.passes(90)
    await operated.passes(MINUTE_S)
    await operated.delivers()
    await operated.delivers()  # it is not due again yet
    assert len(fake.asked) == 1
    (queue,) = await webhook_queues(operated.journal(), ["pager"])
    assert (queue.length.waiting, "answered 500" in queue.length.error) == (2, True)
    fake.status = 200
    operated.clock.move(10)
    await operated.delivers()
    assert [fake.received[0]["webhook-id"]] * 2 == [one["webhook-id"] for one in fake.received[:2]]
    assert len(fake.asked) == 3
    fake.status = 503
    await operated.works()
    for _ in range(4 * RETRY.attempts_max):
        operated.clock.move(1000)
        await operated.delivers()
    assert len(fake.asked) == 3 + 2 * RETRY.attempts_max
    journal = operated.journal()
    dead = await journal.listed(DeliveryState.DEAD)
    assert [(one.type, one.attempts) for one in dead] == [("promise.kept", 3)] * 2
    assert all("answered 503" in one.error for one in dead)
    assert (await journal.lengths())["pager"].dead == 2
    (queue,) = await webhook_queues(journal, ["pager"])
    assert (queue.length.waiting, queue.length.dead) == (0, 2)
    assert "answered 503" in queue.length.error
    ended = [one for one in operated.told if isinstance(one, NotificationSent) and one.is_dead]
    assert {one.id for one in ended} == {one.id for one in dead}

    fake.status = 200
    assert await journal.send_again([dead[1].id]) == 1
    assert await journal.send_again(["unknown"]) == 0
    await operated.delivers()
    assert fake.received[-1]["webhook-id"] == dead[1].id
    assert await journal.send_again(None) == 1
    await operated.delivers()
    assert (await journal.listed(DeliveryState.DEAD)) == []


@pytest.mark.parametrize(("asked_s", "waits_s"), [(300, 300), (10**9, RETRY.delay_max_s)])
async def test_a_receiver_is_left_alone_for_as_long_as_it_asks(
    asked_s: int, waits_s: float, operated: Operated, receiver: tuple[Fake, str]
):
    """No longer than `delay_max_s`: whoever asks for years holds up nothing for years."""
    fake, _ = receiver
    fake.status, fake.headers = 429, {"Retry-After": str(asked_s)}
    await operated.passes(90)
    await operated.passes(MINUTE_S)
    await operated.delivers()
    fake.status = 200
    operated.clock.move(waits_s - 1)
    await operated.delivers()
    assert len(fake.asked) == 1
    operated.clock.move(1)
    await operated.delivers()
    assert len(fake.asked) == 3


async def test_what_waits_by_a_clock_that_was_ahead_waits_no_longer(
    operated: Operated, receiver: tuple[Fake, str]
):
    """One delivery was postponed, and another claimed by a process that was killed meanwhile."""
    fake, _ = receiver
    fake.status, fake.delay_s = 500, 0
    await operated.passes(90)
    await operated.passes(MINUTE_S)
    operated.clock.move(365 * 86_400)
    await operated.delivers()
    fake.status = 200
    operated.clock.move(-365 * 86_400)
    assert await operated.sender.send_next()
    now = operated.clock.now()
    later = now + timedelta(days=365)
    claim = operated.journal().claim
    assert await claim("pager", now=now, until=later, latest=later) is not None
    await operated.delivers()
    assert len(fake.asked) == 3


async def test_a_sender_that_is_killed_leaves_its_delivery_to_the_next(
    operated: Operated, receiver: tuple[Fake, str]
):
    """It may have arrived: the receiver knows it again by its id."""
    fake, _ = receiver
    fake.delay_s = 60
    await operated.passes(90)
    await operated.passes(MINUTE_S)
    killed = asyncio.create_task(operated.sender.send_next())
    while not fake.asked:
        await asyncio.sleep(0.01)
    killed.cancel()
    await asyncio.wait([killed])
    fake.delay_s = 0
    await operated.delivers()
    assert len(fake.asked) == 1  # as long as the first may still be sending it
    operated.clock.move(60)
    await operated.delivers()
    assert len(fake.asked) == 3
    assert fake.received[0]["webhook-id"] == fake.received[1]["webhook-id"]


async def test_a_gap_is_told_at_once_and_each_further_one(
    operated: Operated, receiver: tuple[Fake, str], monkeypatch: pytest.MonkeyPatch
):
    fake, _ = receiver
    gaps: list[Gap] = []

    async def known(source: str, log_id: str) -> Sequence[Gap]:
        return gaps

    monkeypatch.setattr(operated.target, "gaps", known)
    await operated.watch.look()
    gap = Gap(key="a", datasource="wiki", reason="object_missing", detail="", opened=1)  # type: ignore[arg-type]
    for number, key in ((1, "a"), (1, "a"), (2, "b")):
        gaps[:] = [*[one for one in gaps if one.key != key], replace(gap, key=key, opened=number)]  # type: ignore[arg-type]
        await operated.watch.look()
    gaps.clear()
    await operated.watch.look()
    await operated.delivers()
    assert [type_ for type_, *_ in types(fake)] == ["gap.opened", "gap.opened", "gap.closed"]
    last = json.loads(fake.asked[1][2])
    assert last["summary"] == "standby: 2 rows have gaps"
    assert [one["row"] for one in last["details"]["newest"]] == ["b", "a"]


async def test_each_drill_that_failed_is_told_and_the_first_good_one_after_it(
    operated: Operated, receiver: tuple[Fake, str]
):
    fake, _ = receiver
    good, record = made(), DrillRecord(operated.area)
    for number, is_good in enumerate([True, False, False, True, True]):
        at = operated.clock.move(3600)
        drill = replace(good, started_at=at, ended_at=at + timedelta(minutes=number))
        await record.keep(drill if is_good else replace(drill, failure="the disk is full"))
        await operated.watch.look()
    await operated.delivers()
    told = [type_ for type_, _, name in types(fake) if name == "drill"]
    assert told == ["drill.failed", "drill.failed", "drill.succeeded"]


async def test_a_target_that_cannot_be_looked_at_is_told_after_a_while(
    operated: Operated, receiver: tuple[Fake, str]
):
    fake, _ = receiver
    operated.target.away = True
    await operated.passes(30)
    operated.target.away = False
    await operated.passes(0)
    operated.target.away = True
    await operated.passes(MINUTE_S + 1)
    operated.target.away = False
    await operated.works()
    await operated.delivers()
    told = [type_ for type_, _, name in types(fake) if name == "look"]
    assert told == ["status.lost", "status.found"]


async def test_a_target_that_an_error_has_halted_is_told_until_it_goes_on(
    operated: Operated, receiver: tuple[Fake, str]
):
    fake, _ = receiver
    halted = Halted(
        what="apply to standby", reason="1.json is altered", hint="", exit_code=9, retry_s=60
    )
    applier = heart(operated.pipeline, apply_to("standby"))
    for told in (halted, WentOn(what=halted.what)):
        applier.observe(told)
        for seconds in (0, MINUTE_S + 1):
            operated.clock.move(seconds)
            await applier.beat()
            await operated.follows()
            await operated.watch.look()
        assert operated.watch.is_well is (told is not halted)
    await operated.delivers()
    assert [type_ for type_, _, name in types(fake) if name == "halted"] == [
        "status.lost",
        "status.found",
    ]


async def test_more_than_may_wait_are_given_up_the_oldest_first(
    operated: Operated, receiver: tuple[Fake, str]
):
    journal = operated.journal(waiting_max=3, kept_max=2)
    operated.watch._journal = journal
    ids = [(await operated.watch.test("pager")).id for _ in range(6)]
    listed = await journal.listed()
    assert [(one.id, one.state.value) for one in listed] == [
        (ids[1], "dead"), (ids[2], "dead"), (ids[3], "waiting"), (ids[4], "waiting"),
        (ids[5], "waiting"),
    ]  # fmt: skip
    assert "waiting_max" in listed[0].error


async def test_a_journal_that_cannot_be_written_is_reported_and_all_is_not_well(
    operated: Operated, receiver: tuple[Fake, str]
):
    fake, url = receiver
    switch = DeadMansSwitch(
        HttpCaller(lambda: url, ca_file=None, timeout_s=5),
        is_well=lambda: operated.watch.is_well,
        every_s=60,
        observer=operated.told.append,
    )
    assert await switch.call()
    operated.folder.rename(operated.folder.with_name("away"))
    try:
        operated.clock.move(50)
        await operated.follows()
        await operated.watch.look()
        waits = [one.reason for one in operated.told if isinstance(one, Waiting)]
        assert "notifications.folder" in waits[-1]
        assert not await switch.call()
    finally:
        operated.folder.with_name("away").rename(operated.folder)
    await operated.watch.look()
    assert await switch.call()
    assert len(fake.asked) == 2


async def test_the_dead_mans_switch_is_called_only_while_all_promises_are_known_to_be_kept(
    operated: Operated, receiver: tuple[Fake, str]
):
    fake, url = receiver
    told: list[Observation] = []
    switch = DeadMansSwitch(
        HttpCaller(lambda: url, ca_file=None, timeout_s=5),
        is_well=lambda: operated.watch.is_well,
        every_s=60,
        observer=told.append,
    )
    assert await switch.call()
    operated.clock.move(46)
    assert not await switch.call()  # nobody has looked for more than three intervals
    await operated.watch.look()
    assert await switch.call()
    operated.clock.move(30)
    await operated.watch.look()
    assert not await switch.call()  # the target is too far behind, settled or not
    await operated.works()
    assert await switch.call()
    operated.target.away = True
    await operated.watch.look()
    assert not await switch.call()
    operated.target.away = False
    await operated.watch.look()
    fake.status = 500
    assert not await switch.call()
    assert "answered 500" in str(told[-1])


async def test_a_webhook_is_told_only_of_what_it_chose(
    operated: Operated, receiver: tuple[Fake, str]
):
    await operated.passes(90)
    await operated.passes(MINUTE_S)
    assert not await operated.new_sender("deaf").send_next()
    queued = [one for one in operated.told if isinstance(one, NotificationsQueued)]
    assert {(one.webhook, one.waiting) for one in queued[-2:]} == {("pager", 2), ("deaf", 0)}


async def test_the_journal_is_readable_by_its_owner_alone_and_needs_its_folder(tmp_path: Path):
    """Whoever only looks makes no file: it would belong to them, and not to the service."""
    path = tmp_path / "journal.sqlite"
    journal = SqliteJournal(path, waiting_max=1, kept_max=1)
    assert (await journal.lengths(), await journal.listed()) == ({}, [])
    assert not path.exists()
    await journal.send_again(None)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigError, match=r"notifications\.folder"):
        await SqliteJournal(tmp_path / "no" / "j", waiting_max=1, kept_max=1).lengths()
    path.write_bytes(b"something else that is no database" * 100)
    with pytest.raises((ConfigError, TransientError)) as caught:
        await SqliteJournal(path, waiting_max=1, kept_max=1).lengths()
    assert str(path) in str(caught.value)
