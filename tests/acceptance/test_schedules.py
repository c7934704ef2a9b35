"""What is scheduled and told by the real program: each run a process, each webhook a server."""

import asyncio
import json
from pathlib import Path

import pytest
import yaml

from replicator.app import Application
from replicator.config import load
from replicator.control.work.launch import Program
from replicator.control.work.schedule_runs import ScheduleRuns
from replicator.services.schedules.scheduler import RunEnd
from tests.acceptance.test_cli import User
from tests.acceptance.test_monitoring import FAST, line
from tests.servers.fake_http import Fake, serving

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
