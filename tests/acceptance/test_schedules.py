"""What is scheduled and told by the real program: each run a process, each webhook a server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from replicator.app import Application
from replicator.config import load
from replicator.control.work.launch import Program
from replicator.control.work.schedule_runs import ScheduleRuns
from replicator.services.schedules.scheduler import RunEnd
from tests.acceptance.test_cli import User, ids
from tests.acceptance.test_monitoring import FAST, Line, Scrape, line, monitored
from tests.servers.fake_http import Fake, serving
from tests.servers.process import Running

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
__all__ = ["line"]
NEVER = "0 0 1 1 *"
SECRET = "a secret of enough bytes"
QUICK = {"attempts_max": 5, "delay_initial_s": 0.1, "delay_max_s": 0.1}


def changed(config: Path, **sections) -> None:
    found = yaml.safe_load(config.read_text())
    for name, section in sections.items():
        found[name] = {**found.get(name, {}), **section}
    config.write_text(yaml.safe_dump(found))


async def runs(user: User) -> dict[str, RunEnd]:
    """Do the work of each schedule now, as the scheduler would at its time."""
    program = Program(
        config_path=user.config,
        environ={"PATH": "/usr/bin:/bin"},
        folder=user.folder,
        document_bytes_max=1 << 20,
    )
    async with Application(load(user.config, {}), {}, lambda _: None) as application:
        scheduler = ScheduleRuns(application, program, None).scheduler(["standby"])
        assert scheduler is not None
        return {line.schedule: await line.work() for line in scheduler._lines}


async def test_each_run_is_the_verb_with_its_exit_code_and_its_words(line: tuple[User, object]):
    user, _ = line
    await user.cut("1-history")
    tiers = [{"each": "all", "keep": "7d"}, {"each": "day", "keep": "90d"}]
    changed(
        user.config,
        schedules={
            "a-proof": {"type": "verify", "cron": NEVER, "share": "50%"},
            "b-points": {"type": "points", "cron": NEVER, "tiers": tiers, "prefix": "kept"},
            "c-queries": {"type": "verify", "cron": NEVER, "level": "query"},
        },
    )
    found = await runs(user)
    assert found["a-proof"] == RunEnd(exit_code=0)
    assert found["b-points"] == RunEnd(exit_code=0)
    assert found["c-queries"].exit_code == 2
    assert "broker_url is not configured" in found["c-queries"].message
    (kept,) = (await user.types("points", "--json")).result["targets"]
    (point,) = kept["named"]
    assert point["name"].startswith("kept-")
    status = await user.types("status", "--json")
    assert [one["schedule"] for one in status.result["schedules"]] == sorted(found)
    assert {one["last"] for one in status.result["schedules"]} == {None}
    assert "a-proof (verify) of standby: has not run yet, next" in " ".join(
        (await user.types("status")).out.split()
    )


async def test_run_tells_a_webhook_of_a_broken_promise_and_calls_the_switch_while_all_is_well(
    line: tuple[User, "object"],
):
    """A real process; the source's line is cut, and mended again."""
    user, wire = line
    await user.play("1-history")
    (user.folder / "secret").write_text(SECRET)
    pager, switch = Fake(), Fake(status=204)
    async with serving(pager) as hook, serving(switch) as calls:
        changed(
            user.config,
            notifications={
                "folder": str(user.folder),
                "look_interval_s": 0.2,
                "settle": "500ms",
                "retry": QUICK,
                "webhooks": {
                    "pager": {"url": f"{hook}/hook", "secret_file": str(user.folder / "secret")}
                },
                "dead_mans_switch": {"url": calls, "every": "200ms"},
            },
        )
        process = await user.starts("run", *FAST, "--set", "targets.standby.rpo=4s")
        while not switch.asked:
            assert process.is_running, process.err
            await asyncio.sleep(0.05)
        pager.status = 500
        wire.cut()  # type: ignore[attr-defined]
        while len(pager.asked) < 2:
            assert process.is_running, process.err
            await asyncio.sleep(0.05)
        silent = len(switch.asked)
        pager.status = 200
        while not await _told(pager, "promise.broken"):
            assert process.is_running, process.err
            await asyncio.sleep(0.05)
        assert len(switch.asked) <= silent + 1
        wire.is_cut = False  # type: ignore[attr-defined]
        while not await _told(pager, "promise.kept"):
            assert process.is_running, process.err
            await asyncio.sleep(0.05)
        ended = await process.terminate()
        assert ended.code == 0, ended.err
        listed = await user.types("notifications", "list", "--json")
        states = {(one["type"], one["state"]) for one in listed.result["notifications"]}
        assert ("promise.broken", "delivered") in states
        tested = await user.types("notifications", "test", "pager", "--json")
        assert (tested.code, tested.result["delivered"]) == (0, True)
        assert json.loads(pager.asked[-1][2])["type"] == "test"


class Trap:
    """A receiver that takes connections and treats them badly; it counts them."""

    def __init__(self, answer: Callable[[asyncio.StreamWriter], Coroutine[Any, Any, None]]) -> None:
        self._answer = answer
        self.calls = self.open = self.open_max = 0

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        async with server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls, self.open = self.calls + 1, self.open + 1
        self.open_max = max(self.open_max, self.open)
        async with asyncio.TaskGroup() as group:
            answering = group.create_task(self._answer(writer))
            with suppress(OSError):
                while await reader.read(1 << 16):
                    pass
            answering.cancel()
        writer.close()
        self.open -= 1


async def never(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def too_late(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3 * ANSWER_S)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


async def by_drops(writer: asyncio.StreamWriter) -> None:
    """Say one header after another: each byte is in time, and the answer never ends."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-Wait: 1\r\n")
        await asyncio.sleep(ANSWER_S / 10)


async def at_once(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


ANSWER_S = 0.5
"""Longest wait for an answer of a receiver."""
ATTEMPTS = 3
TRAPS = {"never": never, "too-late": too_late, "by-drops": by_drops, "at-once": at_once}
WHY = {
    "never": "did not answer within 0.5 s",
    "too-late": "did not answer within 0.5 s",
    "by-drops": "127.0.0.1",  # too long, or too many headers
    "at-once": "cannot be reached",
    "angry": "answered 500",
    "redirects": "redirects, which is not followed",
}


@pytest.mark.long
async def test_receivers_that_are_slow_or_broken_hold_up_neither_the_run_nor_each_other(
    line: tuple[User, Line],
):
    """Each is tried so often and given up, and all say so; a good one and the standby get theirs.

    Gate: `test_webhook.py` has each answer, `test_notifications.py` the attempts.
    """
    user, wire = line
    await user.play("1-history")
    (user.folder / "secret").write_text(SECRET)
    traps = {name: Trap(answer) for name, answer in TRAPS.items()}
    good, elsewhere, angry = Fake(), Fake(), Fake(status=500)
    async with AsyncExitStack() as stack:
        urls = {
            name: await stack.enter_async_context(trap.listening()) for name, trap in traps.items()
        }
        urls["good"] = await stack.enter_async_context(serving(good))
        urls["angry"] = await stack.enter_async_context(serving(angry))
        there = await stack.enter_async_context(serving(elsewhere))
        redirecting = Fake(status=307, headers={"Location": f"{there}/"})
        urls["redirects"] = await stack.enter_async_context(serving(redirecting))
        webhook = {"secret_file": str(user.folder / "secret"), "request_timeout_s": ANSWER_S}
        changed(
            user.config,
            notifications={
                "folder": str(user.folder),
                "look_interval_s": 0.2,
                "settle": "500ms",
                "retry": {"attempts_max": ATTEMPTS, "delay_initial_s": 0.1, "delay_max_s": 0.1},
                "webhooks": {
                    name: {"url": url, "about": ["promise"], **webhook}
                    for name, url in urls.items()
                },
            },
        )
        process = await user.starts("run", *FAST, "--set", "targets.standby.rpo=15s")
        async with monitored(process) as monitor:
            wire.cut()
            await _until(process, lambda: _types(good)[:1] == ["promise.broken"])
            wire.is_cut = False
            await _until(process, lambda: "promise.kept" in _types(good))
            await user.play("2-publish")  # the bad ones are still being tried, or given up
            while await ids(user.target, "wikipedia") != await ids(user.source, "wikipedia"):
                assert process.is_running, process.err
            found = await _ended(user)
            told = _types(good)
            bad = sorted({*urls} - {"good"})
            for name in bad:
                _is_given_up(name, [one for one in found if one["webhook"] == name], told)
                await monitor.sees(partial(_counts, name, len(told)))
            for trap in traps.values():
                assert trap.calls == ATTEMPTS * len(told)
                assert trap.open_max <= 2, "one at a time; the end of one may be seen late"
            await _status_says_so(user, {"good": 0, **dict.fromkeys(bad, len(told))})
            assert len(angry.asked) == len(redirecting.asked) == ATTEMPTS * len(told)
            assert elsewhere.asked == [], "nobody but the configuration says where a body goes"
            angry.status, angry.asked = 200, []
            again = await user.types("notifications", "resend", "--json")
            assert again.result["waiting_again"] == len(told) * len(bad)
            await _until(process, lambda: _types(angry) == told)


async def _status_says_so(user: User, dead: Mapping[str, int]) -> None:
    status = (await user.types("status", "--json")).result
    assert {one["webhook"]: one["dead"] for one in status["webhooks"]} == dead
    said = [one for one in status["wrong"] if "will not be sent again" in one["what"]]
    assert len(said) == sum(count > 0 for count in dead.values())
    assert "notifications list --state dead" in said[0]["type"]


def _is_given_up(name: str, found: Sequence[Mapping[str, Any]], told: Sequence[str]) -> None:
    """It was sent the same as the good one in the same order, and it is said why none arrived."""
    assert [one["type"] for one in found] == told
    assert {(one["state"], one["attempts"]) for one in found} == {("dead", ATTEMPTS)}, found
    why = {one["error"] for one in found}
    assert all(WHY[name] in error for error in why), why


def _counts(name: str, told: int, seen: Scrape) -> bool:
    dead = seen.value("notifications_queued", webhook=name, state="dead")
    failed = seen.value("notifications_total", webhook=name, result="failed")
    return (dead, failed) == (told, ATTEMPTS * told)


async def _ended(user: User) -> list[dict[str, Any]]:
    """Return all notifications once none waits."""
    while True:
        listed = await user.types("notifications", "list", "--json")
        found: list[dict[str, Any]] = listed.result["notifications"]
        if not any(one["state"] == "waiting" for one in found):
            return found


async def _until(process: Running, what: Callable[[], bool]) -> None:
    while not what():
        assert process.is_running, process.err
        await asyncio.sleep(0.05)


def _types(fake: Fake) -> list[str]:
    return [json.loads(body)["type"] for _, _, body, _ in fake.asked]


async def _told(fake: Fake, type_: str) -> bool:
    await asyncio.sleep(0)
    return any(json.loads(body)["type"] == type_ for _, _, body, _ in fake.asked)


@pytest.mark.long
async def test_a_schedule_of_each_minute_runs_in_run_and_is_seen_and_told(
    line: tuple[User, object],
):
    """Gate: `test_scheduler.py` has the times, the test above the processes and the webhook."""
    user, _ = line
    await user.cut("1-history")
    (user.folder / "secret").write_text(SECRET)
    pager = Fake()
    async with serving(pager) as hook:
        changed(
            user.config,
            schedules={
                "proof": {"type": "verify", "cron": "* * * * *", "level": "rows", "share": "100%"},
                "broken": {"type": "verify", "cron": "* * * * *", "level": "query"},
            },
            notifications={
                "folder": str(user.folder),
                "look_interval_s": 1,
                "webhooks": {
                    "pager": {
                        "url": hook, "secret_file": str(user.folder / "secret"), "about": ["job"],
                    }
                },
            },
        )  # fmt: skip
        process = await user.starts("run", *FAST)
        while not await _told(pager, "job.failed"):
            assert process.is_running, process.err
            await asyncio.sleep(0.2)
        states: dict[str, str | None] = {}
        while not states or {"running", None} & set(states.values()):
            found = (await user.types("status", "--json")).result["schedules"]
            states = {one["schedule"]: (one["last"] or {}).get("state") for one in found}
        assert states == {"proof": "good", "broken": "bad"}
        assert (await process.terminate()).code == 0
