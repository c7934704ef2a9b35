"""A scheduled run is a job like any other: seen, waited for, refused, cancelled, told of."""

import asyncio
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from replicator.app.verbs.schedules import scheduled_lines
from replicator.control.endpoints import schedules
from replicator.control.work import schedule_runs
from replicator.control.work.schedule_runs import ScheduleRuns
from replicator.services.schedules.scheduler import RunEnd, RunLine
from replicator.services.schedules.states import LineState, line_states
from tests.unit.control.stage import Served, ended, served

NEVER = "0 0 1 1 *"
VAULT = {"cron": NEVER, "targets": ["vault"]}
SCHEDULES = {
    "schedules.expiry": {"type": "expire", **VAULT},
    "schedules.proof": {"type": "verify", **VAULT},
    "targets.vault.retention": "7d",
}
RESUME = {"verb": "resume", "target": "vault"}


@asynccontextmanager
async def scheduled(folder: Path) -> AsyncIterator[tuple[Served, dict[str, RunLine]]]:
    async with served(folder, more=SCHEDULES) as stage:
        runs = ScheduleRuns(stage.application, stage.program, stage.control.jobs)
        scheduler = runs.scheduler(["standby", "vault"])
        assert scheduler is not None
        yield stage, {line.schedule: line for line in scheduler._lines}


async def worked(line: RunLine) -> RunEnd:
    return await line.work()


async def test_whoever_asks_meanwhile_waits_for_the_same_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each look at a store that hangs holds a thread, and a viewer may ask as often as it likes."""
    looks, may_end = list[int](), asyncio.Event()
    look = line_states

    async def counted(*args: Any) -> list[LineState]:
        looks.append(1)
        await may_end.wait()
        return await look(*args)

    async with scheduled(tmp_path) as (stage, _):
        monkeypatch.setattr(schedules, "line_states", counted)
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(stage.ask("GET", "/v1/schedules")) for _ in range(5)]
            while not looks:
                await asyncio.sleep(0.01)
            await stage.ask("GET", "/healthz", role=None)
            may_end.set()
    assert looks == [1]
    assert {len(task.result()[1]["schedules"]) for task in asked} == {2}


async def newest(stage: Served):
    _, found = await stage.ask("GET", "/v1/jobs")
    return found["jobs"][0]


async def test_a_run_is_a_job_that_says_who_asked_and_needs_nobody_to_agree(tmp_path: Path):
    async with scheduled(tmp_path) as (stage, lines):
        end = await lines["expiry"].work()
        job = await newest(stage)
        assert end == RunEnd(exit_code=0, job=job["id"])
        assert (job["by"], job["verb"], job["targets"]) == ("schedule expiry", "expire", ["vault"])
        assert stage.program.runs[-1].arguments == ["expire", "--yes", "--", "vault"]
        stage.program.says.append(
            lambda _: ended(error={"type": "TransientError", "message": "away", "hint": ""}, code=8)
        )
        end = await lines["proof"].work()
        assert end == RunEnd(exit_code=8, message="away", job=(await newest(stage))["id"])
        stage.program.says.append(lambda _: ended({"good": False}, code=9))
        end = await lines["proof"].work()
        assert (end.exit_code, "code 9" in end.message) == (9, True)


def parts(argument: str) -> set[str]:
    return {argument, *argument.split("=", 1)}


async def test_what_status_says_to_type_is_what_the_schedule_does(tmp_path: Path):
    """It has no word that the arguments of the schedule's own process have not."""
    more = {
        **SCHEDULES,
        "schedules.orphans": {"type": "expire", "orphans": True, **VAULT},
        "schedules.drills": {"type": "drill", **VAULT},
        "schedules.names": {
            "type": "points",
            "time_zone": "Europe/Berlin",
            **VAULT,
            "tiers": [{"each": "day", "keep": "90d"}, {"each": "month", "keep": "700d"}],
        },
    }
    async with served(tmp_path, more=more) as stage:
        settings = stage.application.settings.schedules
        lines = scheduled_lines(stage.application, ["vault"])
        assert {line.schedule for line in lines} == settings.keys()
        for line in lines:
            said = schedule_runs.request_for(settings[line.schedule], "vault").arguments()
            assert set(shlex.split(line.verb)) <= {part for one in said for part in parts(one)}


async def test_a_run_waits_for_the_job_that_is_changing_its_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(schedule_runs, "BUSY_S", 0.02)
    async with scheduled(tmp_path) as (stage, lines):
        stage.program.holds.append(True)
        _, first = await stage.ask("POST", "/v1/jobs", RESUME)
        expiry = asyncio.create_task(worked(lines["expiry"]))
        await asyncio.sleep(0.2)
        assert (await newest(stage))["id"] == first["id"], "it was not taken on beside the other"
        stage.program.holds.append(False)
        await stage.ask("POST", f"/v1/jobs/{first['id']}/cancel")
        end = await expiry
        assert (end.exit_code, end.job) == (0, (await newest(stage))["id"])


async def test_a_job_that_changes_the_target_waits_for_a_run(tmp_path: Path):
    async with scheduled(tmp_path) as (stage, lines):
        stage.program.holds.append(True)
        expiry = asyncio.create_task(worked(lines["expiry"]))
        async with asyncio.timeout(10):
            while not stage.program.runs:
                await asyncio.sleep(0.01)
        status, problem = await stage.ask("POST", "/v1/jobs", RESUME)
        assert (status, problem["job_id"]) == (409, (await newest(stage))["id"])
        stage.program.runs[0].may_end.set()
        assert (await expiry).exit_code == 0


async def test_a_run_that_somebody_cancels_is_bad_and_one_that_is_stopped_ends_its_job(
    tmp_path: Path,
):
    async with scheduled(tmp_path) as (stage, lines):
        stage.program.holds.append(True)
        for how in ("by an operator", "by the end of its scheduler"):
            count = len(stage.program.runs)
            run = asyncio.create_task(worked(lines["proof"]))
            async with asyncio.timeout(10):
                while len(stage.program.runs) == count:
                    await asyncio.sleep(0.01)
            id_ = (await newest(stage))["id"]
            if how == "by an operator":
                await stage.ask("POST", f"/v1/jobs/{id_}/cancel")
                end = await run
                assert (end.exit_code, end.message) == (143, "cancelled by admin")
                continue
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run
            _, job = await stage.ask("GET", f"/v1/jobs/{id_}?wait=5")
            assert (job["state"], job["why"]) == ("cancelled", "cancelled by schedule proof")
