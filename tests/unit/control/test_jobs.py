"""A job is taken on once, runs in its turn, and everybody learns what became of it."""

import fcntl
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from replicator.adapters.machine.verb_process import VerbEnded
from replicator.adapters.sqlite import jobs as stored_jobs
from replicator.control.work.job_news import JobNews
from replicator.errors import ConfigError, TransientError
from replicator.model.operations.access import Role
from replicator.web.panorama import Panorama
from tests.unit.control.stage import Served, ended, served, soon_running

VERIFY = {"verb": "verify", "target": "standby"}
RESTORE = {"verb": "restore", "target": "standby", "to_offset": 7}
UNDELETE = {"verb": "undelete", "datasource": "orders", "on": "standby"}
PLAN = {"offset": 7, "segments": 2, "other_rows": 0, "rows_removed": 1}
PLANNED = {"plan": PLAN, "expect": "rows=1a", "done": False}


async def planned(stage: Served, body: object) -> str:
    status, plan = await stage.ask("POST", "/v1/plans?wait=5", body)
    assert status == 200, plan
    digest: str = plan["digest"]
    return digest


async def test_a_job_has_the_document_and_the_text_of_its_verb(tmp_path: Path):
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended({"good": True}, code=3))
        status, job = await stage.ask("POST", "/v1/jobs?wait=5&columns=80", VERIFY)
        assert (status, job["state"], job["exit_code"]) == (200, "done", 3)
        assert job["document"]["result"] == {"good": True}
        assert job["by"] == "admin"
        assert stage.headers["Location"] == f"/v1/jobs/{job['id']}"
        assert stage.program.runs[0].arguments[0] == "verify"
        _, text = await stage.ask("GET", f"/v1/jobs/{job['id']}/text")
        assert text == {"stdout": "said\n", "stderr": "", "exit_code": 3}


async def test_an_error_of_the_verb_is_the_error_of_the_job(tmp_path: Path):
    error = {"type": "NotFoundError", "message": "there is no cut", "hint": "wait"}
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended(error=error, code=6))
        _, job = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY)
        assert (job["state"], job["exit_code"], job["why"]) == ("failed", 6, "there is no cut")
        assert job["document"]["error"] == error
        status, problem = await stage.ask("POST", "/v1/plans?wait=5", RESTORE)
        assert (status, problem["type"], problem["detail"]) == (
            422,
            "NotFoundError",
            "there is no cut",
        )
        assert problem["hint"] == "wait"
        assert problem["job_id"]


async def test_jobs_run_in_their_turn_with_progress_and_time_left(tmp_path: Path):
    async with served(tmp_path) as stage:
        stage.program.holds.append(True)
        stage.program.told[:] = [
            {"what": "copy", "done": 0, "total": 10, "unit": "segments"},
            {"what": "copy", "done": 5, "total": 10, "unit": "segments"},
        ]
        _, first = await stage.ask("POST", "/v1/jobs", VERIFY)
        _, second = await stage.ask("POST", "/v1/jobs", {"verb": "drill", "target": "vault"})
        await soon_running(stage, 1)
        _, running = await stage.ask("GET", f"/v1/jobs/{first['id']}")
        assert running["state"] == "running"
        progress = running["progress"]
        assert (progress["what"], progress["done"], progress["total"]) == ("copy", 5, 10)
        assert progress["eta_seconds"] >= 0
        _, waiting = await stage.ask("GET", f"/v1/jobs/{second['id']}?wait=0.1")
        assert waiting["state"] == "queued"
        stage.program.runs[0].may_end.set()
        await soon_running(stage, 2)
        stage.program.runs[1].may_end.set()
        _, done = await stage.ask("GET", f"/v1/jobs/{second['id']}?wait=5")
        assert (done["state"], done["progress"]) == ("done", None)
        _, listed = await stage.ask("GET", "/v1/jobs?target=vault")
        assert [one["id"] for one in listed["jobs"]] == [second["id"]]
        _, listed = await stage.ask("GET", "/v1/jobs?limit=1&state=done")
        assert [one["id"] for one in listed["jobs"]] == [second["id"]]


async def test_more_than_may_wait_are_refused(tmp_path: Path):
    async with served(tmp_path) as stage:
        stage.program.holds.append(True)
        answers = [await stage.ask("POST", "/v1/jobs", VERIFY) for _ in range(5)]
        assert [status for status, _ in answers].count(429) >= 1
        assert answers[-1][1]["type"] == "FullError"


async def test_what_only_looks_never_holds_up_an_operator(tmp_path: Path):
    """A viewer asks for more than there are places, and a restore runs all the same."""
    places = {"web.control.jobs.running_max": 2, "web.control.jobs.queued_max": 4}
    async with served(tmp_path, more=places) as stage:
        stage.program.holds.append(True)
        looks = [await stage.ask("POST", "/v1/jobs", {"verb": "log"}) for _ in range(9)]
        refused = [problem["type"] for status, problem in looks if status == 429]
        assert refused
        assert {*refused} == {"FullError"}
        _, urgent = await stage.ask("POST", "/v1/jobs", VERIFY)
        await soon_running(stage, 2)
        _, now = await stage.ask("GET", f"/v1/jobs/{urgent['id']}")
        assert now["state"] == "running"
        for run in stage.program.runs:
            run.may_end.set()
        stage.program.holds.append(False)


async def test_one_operator_leaves_places_to_others(tmp_path: Path):
    places = {"web.control.jobs.running_max": 2, "web.control.jobs.queued_max": 4}
    async with served(tmp_path, more=places) as stage:
        stage.program.holds.append(True)
        proof = {"verb": "verify", "target": "standby", "level": "exists"}
        flood = [await stage.ask("POST", "/v1/jobs", proof, role=Role.OPERATOR) for _ in range(9)]
        refused = [problem for status, problem in flood if status == 429]
        assert refused
        assert {one["type"] for one in refused} == {"FullError"}
        status, _ = await stage.ask("POST", "/v1/jobs", VERIFY, role=Role.ADMIN)
        assert status == 202
        for run in stage.program.runs:
            run.may_end.set()
        stage.program.holds.append(False)


async def test_nobody_pushes_out_what_others_have_asked_for(tmp_path: Path):
    async with served(tmp_path, more={"web.control.jobs.kept_max": 10}) as stage:
        _, theirs = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, role=Role.ADMIN)
        for _ in range(13):
            await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, role=Role.OPERATOR)
        status, kept = await stage.ask("GET", f"/v1/jobs/{theirs['id']}")
        assert (status, kept["by"]) == (200, "admin")
        _, listed = await stage.ask("GET", "/v1/jobs?limit=1000")
        assert len(listed["jobs"]) == 10


async def test_no_results_fill_the_disk(tmp_path: Path):
    """A viewer may ask for the whole log as often as it likes, on the disk that the log is on."""
    large = VerbEnded(code=0, document={"result": {"events": "x" * 30_000}}, stdout="", stderr="")
    async with served(tmp_path, more={"web.control.jobs.kept_bytes_max": 1 << 16}) as stage:
        _, theirs = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, role=Role.ADMIN)
        ids = list[str]()
        for _ in range(4):
            stage.program.says.append(lambda _: large)
            _, job = await stage.ask("POST", "/v1/jobs?wait=5", {"verb": "log"}, role=Role.VIEWER)
            ids.append(job["id"])
        _, listed = await stage.ask("GET", "/v1/jobs")
        assert [one["id"] for one in listed["jobs"]] == [*reversed(ids[1:]), theirs["id"]]


def _plans(planned: Mapping[str, Any], _: object) -> VerbEnded:
    found: VerbEnded = ended(planned)
    return found


async def test_no_plans_fill_the_disk(tmp_path: Path):
    """A plan lists the known gaps, stays for an hour, and an operator may make many."""
    large = {**PLANNED, "missing": "x" * 30_000}
    async with served(tmp_path, more={"web.control.jobs.kept_bytes_max": 1 << 16}) as stage:
        digests = list[str]()
        for role, number in ((Role.ADMIN, 0), *((Role.OPERATOR, one) for one in range(1, 5))):
            planned = {**(PLANNED if role is Role.ADMIN else large), "number": number}
            stage.program.says.append(partial(_plans, planned))
            _, plan = await stage.ask("POST", "/v1/plans?wait=5", UNDELETE, role=role)
            digests.append(plan["digest"])
        kept = [(await stage.ask("GET", f"/v1/plans/{one}"))[0] for one in digests]
        assert kept == [200, 404, 404, 200, 200]


async def test_a_large_result_is_read_once_however_often_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """16 MiB take as long to read as the whole process is held up."""
    read = list[int]()

    def loads(data: bytes | str) -> Any:
        read.append(len(data))
        return orjson.loads(data)

    fake = SimpleNamespace(loads=loads, dumps=orjson.dumps)
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended({"events": "x" * 30_000}))
        _, job = await stage.ask("POST", "/v1/jobs", {"verb": "log"}, role=Role.VIEWER)
        monkeypatch.setattr(stored_jobs, "orjson", fake)
        path = f"/v1/jobs/{job['id']}?wait=5"
        found = [(await stage.ask("GET", path, role=Role.VIEWER))[1] for _ in range(3)]
        assert [one["document"]["result"]["events"] for one in found] == ["x" * 30_000] * 3
        assert len([size for size in read if size > 30_000]) == 1


async def test_only_who_asked_for_a_look_is_told_that_it_failed(tmp_path: Path):
    """Else any viewer calls the operators, in words of their own, as often as they like."""
    news, error = JobNews(), {"type": "NotFoundError", "message": "@everyone", "hint": ""}
    async with served(tmp_path) as stage:
        stage.control.jobs.subscribe(news.hear)
        stage.program.says.append(lambda _: ended(error=error, code=6))
        for body in ({"verb": "diff", "before": "x", "after": "y"}, VERIFY):
            await stage.ask("POST", "/v1/jobs?wait=5", body)
        assert [one.name for one in news.sightings()] == ["verify"]


async def test_a_look_that_has_ended_lets_no_store_be_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    refreshed = list[tuple[str, ...]]()
    monkeypatch.setattr(Panorama, "refresh", lambda _, targets=(): refreshed.append(targets))
    async with served(tmp_path) as stage:
        for body in ({"verb": "drill list", "target": "vault"}, VERIFY):
            await stage.ask("POST", "/v1/jobs?wait=5", body)
        assert refreshed == [("standby",)]


async def test_a_job_says_what_ends_it(tmp_path: Path):
    """The page offers no button that would be refused."""
    async with served(tmp_path) as stage:
        roles = {
            verb["verb"]: (await stage.ask("POST", "/v1/jobs?wait=5", verb))[1]["role"]
            for verb in (VERIFY, {"verb": "log"}, {"verb": "target create", "target": "standby"})
        }
    assert roles == {"verify": "operator", "log": "viewer", "target create": "admin"}


async def test_what_is_asked_for_twice_by_one_key_is_one_job(tmp_path: Path):
    key = {"Idempotency-Key": "nightly-1"}
    async with served(tmp_path) as stage:
        _, first = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, headers=key)
        _, again = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, headers=key)
        assert again["id"] == first["id"]
        other = {**VERIFY, "target": "vault"}
        status, problem = await stage.ask("POST", "/v1/jobs", other, headers=key)
        assert (status, problem["type"]) == (422, "KeyReusedError")
        _, theirs = await stage.ask("POST", "/v1/jobs", VERIFY, headers=key, role=Role.OPERATOR)
        assert theirs["id"] != first["id"]
        assert len(stage.program.runs) <= 2
    async with served(tmp_path) as stage:
        stage.tokens["admin"] = await stage.token(Role.ADMIN)
        _, later = await stage.ask("POST", "/v1/jobs", VERIFY, headers=key)
        assert later["id"] == first["id"]


async def test_what_changes_much_takes_a_plan_and_its_digest(tmp_path: Path):
    async with served(tmp_path) as stage:
        status, problem = await stage.ask("POST", "/v1/jobs", UNDELETE)
        assert status == 422
        assert problem["faults"][0]["where"] == "body"
        stage.program.says.append(lambda _: ended(PLANNED))
        digest = await planned(stage, UNDELETE)
        assert "--dry-run" in stage.program.runs[-1].arguments
        assert "--yes" not in stage.program.runs[-1].arguments
        stage.program.says.append(
            lambda given: ended({"done": True} if "--yes" in given else PLANNED)
        )
        status, job = await stage.ask("POST", "/v1/runs?wait=5", {"digest": digest})
        assert (status, job["state"], job["plan"]) == (200, "done", digest)
        assert job["document"]["result"] == {"done": True}
        assert len(stage.program.runs) == 2
        assert {"--yes", "--expect=rows=1a"} <= set(stage.program.runs[-1].arguments)


async def test_a_plan_of_a_release_without_expect_is_left_to_its_process_to_refuse(tmp_path: Path):
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended({"plan": PLAN, "done": False}))
        digest = await planned(stage, UNDELETE)
        await stage.ask("POST", "/v1/runs?wait=5", {"digest": digest})
        assert "--expect=plan=of-another-release" in stage.program.runs[-1].arguments


async def test_a_restore_is_carried_out_by_the_file_of_its_plan(tmp_path: Path):
    read: list[object] = []

    def says(given):
        if given[:2] == ["restore", "run"]:
            path = Path(given[-1])
            read.append((orjson.loads(path.read_bytes()), path.stat().st_mode & 0o777))
            return ended({"done": True})
        assert given[2].startswith("--output=")
        return ended({"file": given[2].removeprefix("--output="), "digest": "a" * 64, "cut": 1})

    async with served(tmp_path) as stage:
        stage.program.says.append(says)
        digest = await planned(stage, RESTORE)
        _, plan = await stage.ask("GET", f"/v1/plans/{digest}")
        assert plan["document"] == {"digest": "a" * 64, "cut": 1}
        assert plan["targets"] == ["standby"]
        _, job = await stage.ask("POST", "/v1/runs?wait=5", {"digest": digest})
        assert job["state"] == "done"
        assert read == [({"digest": "a" * 64, "cut": 1}, 0o600)]
        assert list((tmp_path / "prod.log.control" / "plans").iterdir()) == []


async def test_a_plan_that_is_too_old_is_none(tmp_path: Path):
    async with served(tmp_path, more={"web.control.jobs.plan_valid": "1ms"}) as stage:
        stage.program.says.append(lambda _: ended(PLANNED))
        status, problem = await stage.ask("POST", "/v1/plans?wait=5", UNDELETE)
        assert (status, problem["type"]) == (404, "NotFoundError")
        status, _ = await stage.ask("POST", "/v1/runs", {"digest": "a" * 64})
        assert status == 404


async def test_two_at_once_on_one_target_the_second_is_refused_with_the_firsts_id(tmp_path: Path):
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended(PLANNED))
        digest = await planned(stage, UNDELETE)
        vault = await planned(stage, {**UNDELETE, "on": "vault"})
        stage.program.holds.append(True)
        _, first = await stage.ask("POST", "/v1/runs", {"digest": digest})
        status, problem = await stage.ask("POST", "/v1/runs", {"digest": digest})
        assert (status, problem["job_id"], problem["type"]) == (409, first["id"], "BusyError")
        status, _ = await stage.ask("POST", "/v1/jobs", {"verb": "resume", "target": "standby"})
        assert status == 409
        assert (await stage.ask("POST", "/v1/jobs", VERIFY))[0] == 202
        assert (await stage.ask("POST", "/v1/runs", {"digest": vault}))[0] == 202


async def test_a_job_can_be_ended_while_it_waits_and_while_it_runs(tmp_path: Path):
    async with served(tmp_path) as stage:
        stage.program.holds.append(True)
        _, first = await stage.ask("POST", "/v1/jobs", VERIFY)
        _, second = await stage.ask("POST", "/v1/jobs", VERIFY)
        await soon_running(stage, 1)
        _, ended_one = await stage.ask("POST", f"/v1/jobs/{second['id']}/cancel")
        assert (ended_one["state"], ended_one["why"]) == ("cancelled", "cancelled by admin")
        await stage.ask("POST", f"/v1/jobs/{first['id']}/cancel")
        _, done = await stage.ask("GET", f"/v1/jobs/{first['id']}?wait=5")
        assert (done["state"], done["exit_code"]) == ("cancelled", 143)
        assert stage.program.runs[0].signals == ["TERM"]
        status, problem = await stage.ask("POST", f"/v1/jobs/{first['id']}/cancel")
        assert (status, "cancelled already" in problem["detail"]) == (409, True)
        assert (await stage.ask("POST", "/v1/jobs/none/cancel"))[0] == 404


async def test_what_has_its_result_when_it_is_ended_is_done(tmp_path: Path):
    """Whoever cancels in the moment in which a restore ends must not be told that it did not."""
    async with served(tmp_path) as stage:
        stage.program.holds.append(True)
        _, job = await stage.ask("POST", "/v1/jobs", VERIFY)
        await soon_running(stage, 1)
        process = stage.program.runs[0]
        process.may_end.set()
        await stage.ask("POST", f"/v1/jobs/{job['id']}/cancel")
        _, done = await stage.ask("GET", f"/v1/jobs/{job['id']}?wait=5")
        assert done["state"] in {"done", "cancelled"}
        assert (done["state"] == "done") == ("result" in (done["document"] or {}))


async def test_a_service_that_stops_says_what_became_of_its_jobs(tmp_path: Path):
    async with served(tmp_path) as stage:
        _, kept = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY)
        stage.program.holds.append(True)
        _, running = await stage.ask("POST", "/v1/jobs", VERIFY)
        _, waiting = await stage.ask("POST", "/v1/jobs", {"verb": "drill", "target": "vault"})
        await soon_running(stage, 2)
    async with served(tmp_path) as stage:
        _, listed = await stage.ask("GET", "/v1/jobs")
        assert [(one["id"], one["state"]) for one in listed["jobs"]] == [
            (waiting["id"], "interrupted"),
            (running["id"], "interrupted"),
            (kept["id"], "done"),
        ]
        _, found = await stage.ask("GET", f"/v1/jobs/{kept['id']}")
        assert found["document"]["result"] == {}
        _, again = await stage.ask("POST", f"/v1/jobs/{waiting['id']}/again?wait=5")
        assert (again["state"], again["again"]) == ("done", waiting["id"])
        assert stage.program.runs[0].arguments == ["drill", "--", "vault"]


async def test_a_killed_services_jobs_are_interrupted_once_their_processes_have_ended(
    tmp_path: Path,
):
    """A process holds the lock of its job: what it still does must not be run again beside it."""
    async with served(tmp_path) as stage:
        stage.program.holds.append(True)
        _, running = await stage.ask("POST", "/v1/jobs", VERIFY)
        await soon_running(stage, 1)
        found = await stage.control.jobs.job(running["id"])
        store = stage.control.jobs._store
    async with served(tmp_path) as stage:  # as the kill left it
        await stage.control.jobs._store.put(found)
    assert store is not None
    lock = tmp_path / "prod.log.control" / "running" / running["id"]
    held = os.open(lock, os.O_RDWR | os.O_CREAT)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        async with served(tmp_path) as stage:
            _, job = await stage.ask("GET", f"/v1/jobs/{running['id']}")
            assert (job["state"], job["why"]) == (
                "interrupted",
                "the service ended while it ran; its process still cleans up",
            )
            await stage.control.jobs._store.put(found)
    finally:
        os.close(held)
    async with served(tmp_path) as stage:
        _, job = await stage.ask("GET", f"/v1/jobs/{running['id']}")
        assert (job["state"], job["why"]) == ("interrupted", "the service ended while it ran")
        assert not lock.exists()


async def test_what_carried_out_a_plan_is_planned_again_before_it_runs_again(tmp_path: Path):
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended(PLANNED))
        digest = await planned(stage, UNDELETE)
        _, plan_jobs = await stage.ask("GET", "/v1/jobs")
        _, job = await stage.ask("POST", "/v1/runs?wait=5", {"digest": digest})
        status, problem = await stage.ask("POST", f"/v1/jobs/{job['id']}/again")
        assert (status, "needs a new plan" in problem["detail"]) == (409, True)
        planning = plan_jobs["jobs"][0]["id"]
        _, again = await stage.ask("POST", f"/v1/jobs/{planning}/again?wait=5")
        assert (again["verb"], again["plan"]) == ("undelete plan", digest)


async def test_only_so_many_ended_jobs_are_kept(tmp_path: Path):
    async with served(tmp_path, more={"web.control.jobs.kept_max": 10}) as stage:
        job: dict[str, object] = {}
        for _ in range(13):
            _, job = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY)
        _, listed = await stage.ask("GET", "/v1/jobs?limit=1000")
        assert len(listed["jobs"]) == 10
        assert listed["jobs"][0]["id"] == job["id"]


async def test_a_second_service_on_one_folder_is_refused(tmp_path: Path):
    async with served(tmp_path):
        with pytest.raises(ConfigError, match="another running service"):
            async with served(tmp_path):
                pass


async def test_what_the_machine_is_short_of_fails_the_job_alone(tmp_path: Path):
    """No process can be started, then no plan written: the service goes on, and says why."""

    def short(_: object) -> VerbEnded:
        raise TransientError("the process of the verb cannot be started: no room", hint="wait")

    async with served(tmp_path) as stage:
        stage.program.says.append(short)
        _, job = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY)
        assert (job["state"], job["why"]) == (
            "failed",
            "the process of the verb cannot be started: no room",
        )
        assert job["document"]["error"]["type"] == "TransientError"
        (tmp_path / "prod.log.control" / "plans").write_text("")
        status, problem = await stage.ask("POST", "/v1/plans?wait=5", RESTORE)
        assert (status, "write the plan of a job" in problem["detail"]) == (422, True)
        stage.program.says.append(lambda _: ended())
        assert (await stage.ask("POST", "/v1/jobs?wait=5", VERIFY))[1]["state"] == "done"
