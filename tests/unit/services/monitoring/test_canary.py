"""The canary asks two Brokers over HTTP, and says how long rows take between their answers."""

import asyncio
from datetime import timedelta

import pytest

from replicator.adapters.druid.broker import DruidBroker
from replicator.adapters.druid.request import DruidLogin
from replicator.adapters.memory.area import MemoryArea
from replicator.model.observation import CanaryArrived, CanarySeen, Observation
from replicator.model.observed.faults import Waiting
from replicator.services.monitoring.canary import (
    Canary,
    CanaryRules,
    CanaryTarget,
    kept_canary,
    time_of,
)
from tests.servers.fake_http import Fake, serving
from tests.unit.pipeline import HandClock

RULES = CanaryRules(
    datasource="canary",
    window=timedelta(days=1),
    lost_after=timedelta(hours=1),
    interval_s=5,
)


def shows(fake: Fake, clock: HandClock) -> None:
    """Let a Broker answer with a row of now, as a Druid writes its time."""
    fake.status, fake.body = 200, [{"m0": f"{clock.now():%Y-%m-%dT%H:%M:%S}.000Z"}]


async def test_rows_are_followed_from_one_broker_to_the_other():
    clock, area, told = HandClock(), MemoryArea(), list[Observation]()
    source, target = Fake(body=[]), Fake(body=[])
    async with serving(source) as prod, serving(target) as standby:
        canary = Canary(
            RULES,
            DruidBroker([prod], DruidLogin(), query_timeout_s=5),
            {
                "standby": CanaryTarget(
                    broker=DruidBroker([standby], DruidLogin(), query_timeout_s=5), area=area
                )
            },
            clock=clock,
            observer=told.append,
        )
        await canary.look()  # no row anywhere
        shows(source, clock)
        await canary.look()  # this one was there before
        clock.move(300)
        shows(source, clock)
        await canary.look()
        clock.move(5)
        await canary.look()
        seen = [one for one in told if isinstance(one, CanarySeen)][-1]
        assert (seen.target, seen.waiting_s, seen.lost) == ("standby", 5, 0)
        clock.move(15)
        target.body = source.body
        await canary.look()
        assert [one for one in told if isinstance(one, CanaryArrived)] == [
            CanaryArrived(target="standby", seconds=20)
        ]
        kept = await kept_canary(area)
        assert kept is not None
        assert (kept.arrived, kept.datasource) == (0, "canary")  # it was kept a moment ago
        clock.move(60)
        await canary.look()
        kept = await kept_canary(area)
        assert kept is not None
        assert (kept.arrived, kept.p50_s, kept.waiting_s) == (1, 20, 0)
        asked = source.asked[-1][2].decode()
        assert 'MAX(\\"__time\\")' in asked
        assert "TIMESTAMP" in asked, "only the window is read"


@pytest.mark.parametrize(
    ("status", "body", "told_once"),
    [
        (503, "overloaded", 1),
        (401, "", 1),
        # not loaded yet: it is awaited like any row
        (400, {"error": "Plan validation failed", "errorMessage": "Object 'canary' not found"}, 0),
    ],
)
async def test_a_broker_that_does_not_answer_is_said_once_and_nothing_is_measured(
    status: int, body: object, told_once: int
):
    clock, area, told = HandClock(), MemoryArea(), list[Observation]()
    source, target = Fake(), Fake(status=status, body=body)
    async with serving(source) as prod, serving(target) as standby:
        broker = DruidBroker([standby], DruidLogin(), query_timeout_s=5)
        canary = Canary(
            RULES,
            DruidBroker([prod], DruidLogin(), query_timeout_s=5),
            {"standby": CanaryTarget(broker=broker, area=area)},
            clock=clock,
            observer=told.append,
        )
        for _ in range(3):
            clock.move(10)
            shows(source, clock)
            await canary.look()
        waits = [one for one in told if isinstance(one, Waiting)]
        assert len(waits) == told_once
        assert all("the Broker of standby" in one.what for one in waits)
        assert not [one for one in told if isinstance(one, CanaryArrived)]
        clock.move(10)
        shows(target, clock)
        await canary.look()
        arrived = [one.seconds for one in told if isinstance(one, CanaryArrived)]
        assert arrived == [20, 10]


class HangingArea(MemoryArea):
    """A store that takes a file and never says that it has it."""

    async def replace(self, name: str, data: bytes) -> None:
        await asyncio.Event().wait()


class OddArea(MemoryArea):
    """A store that brings out a bug."""

    async def replace(self, name: str, data: bytes) -> None:
        raise KeyError(name)


async def test_a_bug_that_one_target_brings_out_holds_up_no_other(monkeypatch: pytest.MonkeyPatch):
    clock, kept, told = HandClock(), MemoryArea(), list[Observation]()
    fake = Fake()
    shows(fake, clock)
    async with serving(fake) as url:
        odd, broker = (DruidBroker([url], DruidLogin(), query_timeout_s=5) for _ in range(2))

        async def measure(*_: object) -> object:
            raise IndexError("no row")

        monkeypatch.setattr(odd, "measure", measure)
        canary = Canary(
            RULES,
            broker,
            {
                "a": CanaryTarget(broker=odd, area=OddArea()),
                "b": CanaryTarget(broker=broker, area=kept),
            },
            clock=clock,
            observer=told.append,
        )
        await canary.look()
    assert await kept_canary(kept) is not None
    why = {one.what: one.reason for one in told if isinstance(one, Waiting)}
    assert [*why] == ["ask the Broker of a for the canary canary", "keep the canary of a"]
    assert "the Broker of a: IndexError: no row, in measure" in why[next(iter(why))]


async def test_a_store_that_hangs_holds_up_no_other_canary():
    clock, kept, told = HandClock(), MemoryArea(), list[Observation]()
    fake = Fake()
    shows(fake, clock)
    async with serving(fake) as url:
        broker = DruidBroker([url], DruidLogin(), query_timeout_s=5)
        canary = Canary(
            RULES,
            broker,
            {
                "a": CanaryTarget(broker=broker, area=HangingArea()),
                "b": CanaryTarget(broker=broker, area=kept),
            },
            clock=clock,
            observer=told.append,
            timeout_s=0.05,
        )
        async with asyncio.timeout(30):
            await canary.look()
    assert await kept_canary(kept) is not None
    assert [one.what for one in told if isinstance(one, Waiting)] == ["keep the canary of a"]


async def test_a_summary_that_cannot_be_read_is_none():
    area = MemoryArea()
    assert await kept_canary(area) is None
    await area.replace("canary/latest.json", b"{}")
    assert await kept_canary(area) is None


@pytest.mark.parametrize("told", [-62_135_596_800_001, -8e15, 9e15, float("nan"), "0000-01-01", ""])
def test_a_time_that_no_row_of_ours_has_is_none(told: float | str):
    """A Broker's answer ended `run` with all targets."""
    assert time_of(told) is None
