"""What an operator asks for from afar, done by real processes on a real PostgreSQL and folders."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.acceptance.api import Api, offered, served
from tests.acceptance.test_cli import User, ids, user
from tests.acceptance.test_repair import flip, smooshes
from tests.acceptance.test_store_alone import archive, edited
from tests.rings import times
from tests.servers.postgresql import connected
from tests.unit.control.api_page import typed

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
FIRST = 19
"""Offset of the first cut."""
DROPPED = 6
"""Segments of `orders` in the first cut, which a later one drops."""
UNDELETED = 7
"""The same and an overwritten one, just before that."""
KILLS = 4
"""Kills of each kind of job, in each state."""


@pytest.fixture
async def dropped(user: User) -> User:
    """A standby whose source has dropped `orders`, and an archive that follows, too."""

    def change(found: dict[str, Any]) -> None:
        found["targets"].update(vault=archive(user.folder))

    (user.folder / "vault").mkdir()
    edited(user, change)
    offered(user)
    for names in (("1-history",), ("3-overwrite", "4c-drop", "5-accident")):
        await user.cut(*names)
        assert (await user.types("apply", "vault", "--once")).code == 0
    return user


@pytest.fixture
async def scratch() -> AsyncIterator[Path]:
    """A folder that root's PostgreSQL may enter, as another user."""
    with TemporaryDirectory(prefix="control-drill-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


async def test_two_restores_of_one_target_at_once_the_second_is_refused_with_the_firsts_id(
    dropped: User,
):
    """The first waits at a lock in the target; then it brings everything back."""
    async with served(dropped) as api, connected(dropped.target) as connection:
        plan = await api.plan(verb="undelete", datasource="orders", on="standby")
        assert (plan["targets"], plan["document"]["plan"]["segments"]) == (["standby"], UNDELETED)
        assert not await ids(dropped.target, "orders"), "a plan changes nothing"
        async with connection.transaction():
            await connection.execute("LOCK TABLE druid_segments")
            status, first = await api.ask("POST", "/v1/runs", {"digest": plan["digest"]})
            assert status == 202, first
            status, problem = await api.ask("POST", "/v1/runs", {"digest": plan["digest"]})
            assert (status, problem["type"], problem["job_id"]) == (409, "BusyError", first["id"])
        done = await api.ended(first)
        assert (done["state"], done["exit_code"]) == ("done", 0), done
        assert len(await ids(dropped.target, "orders")) == UNDELETED
        # Points and holds are seen without a job, as the command line says them itself.
        held = await api.types("hold", "create", "audit", "--on", "vault", *HELD)
        assert held.code == 0, held.err
        jobs = len((await api.ask("GET", "/v1/jobs"))[1]["jobs"])
        for verb in (("hold", "list"), ("points", "--all", "--limit", "2")):
            here, there = await dropped.types(*verb), await api.types(*verb)
            own = f" --config {dropped.config}"  # what is suggested to type is for this machine
            assert (there.code, there.out) == (0, here.out.replace(own, "")), there.err
        here, there = await dropped.types("points", "--json"), await api.types("points", "--json")
        assert there.result == here.result
        assert len((await api.ask("GET", "/v1/jobs"))[1]["jobs"]) == jobs


HELD = ("--to-offset", str(FIRST), "--reason", "for the audit")


@pytest.mark.long
async def test_every_verb_that_is_asked_for_from_afar_does_what_it_says(
    dropped: User, scratch: Path
):
    """Gate: the test above, and `tests/unit/control` has each verb's command line."""
    edited(dropped, lambda found: found.update(drill={"folder": str(scratch)}))
    edited(dropped, lambda found: found["targets"]["standby"].update(retention="1d"))
    async with served(dropped) as api:
        await _proofs_and_names(api)
        await _damage_is_repaired(api, dropped)
        await _moments_come_back(api, dropped)
        await _a_target_stands_still_until_it_is_resumed(api, dropped)
        await _what_nobody_needs_expires(api)
        _, jobs = await api.ask("GET", "/v1/jobs?limit=1000")
        bad = [one for one in jobs["jobs"] if one["state"] != "done"]
        assert [one["why"] for one in bad if "wait until its status" not in one["why"]] == []


async def _proofs_and_names(api: Api) -> None:
    checked = await api.job(verb="check")
    assert checked["state"] == "done", checked
    proof = await api.result(verb="verify", target="standby", level="checksum")
    assert proof["good"]
    drilled = await api.result(verb="drill", target="vault")
    assert drilled["good"] is True
    evidence = (await api.result(verb="drill list", target="vault"))["drills"]
    assert [one["ended_at"] for one in evidence] == [drilled["ended_at"]]
    await api.result(verb="points create", name="before", to_offset=FIRST, targets=["vault"])
    _, points = await api.ask("GET", "/v1/points")
    vault = next(one for one in points["result"]["targets"] if one["target"] == "vault")
    assert [one["name"] for one in vault["named"]] == ["before"]
    await api.result(verb="points remove", name="before", targets=["vault"])
    _, points = await api.ask("GET", "/v1/points")
    assert not any(one["named"] for one in points["result"]["targets"])
    blamed = await api.result(verb="blame", name="orders")
    assert "marked unused" in " ".join(blamed["summary"])
    assert (await api.result(verb="diff", before=str(FIRST), after="latest"))["count"] > 0
    assert (await api.result(verb="log", type="cut.closed"))["events"][0]["offset"] == FIRST


async def _damage_is_repaired(api: Api, user: User) -> None:
    altered, *_ = smooshes(user.folder / "target" / "wikipedia")
    flip(altered)
    found = await api.job(verb="verify", target="standby", level="checksum")
    assert (found["state"], found["exit_code"]) == ("done", 9)
    plan = await api.plan(verb="repair", target="standby")
    assert plan["document"]["plan"]["damaged_count"] == 1
    job = await api.run(plan)
    assert (job["state"], job["exit_code"]) == ("done", 0), job
    assert job["document"]["result"]["objects_copied"] == 1
    assert (await api.result(verb="verify", target="standby", level="checksum"))["good"]


async def _moments_come_back(api: Api, user: User) -> None:
    beside = {"verb": "restore beside", "target": "standby", "rename": "orders=orders 2"}
    await api.done(**beside, to_offset=FIRST)
    assert len(await ids(user.target, "orders 2")) == DROPPED
    await api.done(verb="forget renamed", target="standby", datasource="orders 2")
    assert not await ids(user.target, "orders 2")
    await api.done(verb="rollback", datasource="orders", to=str(FIRST), on="standby")
    assert len(await ids(user.target, "orders")) == DROPPED
    plan = await api.plan(verb="restore", from_store="vault", into="standby", to_offset=FIRST)
    assert plan["document"]["cut"]["offset"] == FIRST
    job = await api.run(plan)
    assert (job["state"], job["exit_code"]) == ("done", 0), job
    job = await api.run(plan)
    assert job["state"] in {"done", "failed"}, "nothing is left to do, or the plan is another now"
    assert len(await ids(user.target, "orders")) == DROPPED


async def _a_target_stands_still_until_it_is_resumed(api: Api, user: User) -> None:
    await api.result(verb="resume", target="standby")
    assert not await ids(user.target, "orders")
    status, problem = 409, dict[str, Any]()
    async with asyncio.timeout(60):  # until its cut was seen
        while status == 409:
            body = {"verb": "pause", "target": "standby"}
            status, problem = await api.ask("POST", "/v1/jobs?wait=30", body)
    assert (await api.ended(problem))["exit_code"] == 0
    stands = await user.types("apply", "standby", "--once")
    assert (stands.code, "is paused" in stands.err) == (4, True)
    await api.result(verb="resume", target="standby")
    await user.play("2-publish")
    caught = await api.result(verb="apply", target="standby")
    assert caught["target"] == "standby"
    assert await ids(user.target, "wikipedia") == await ids(user.source, "wikipedia")


async def _what_nobody_needs_expires(api: Api) -> None:
    """The history is too short to lose bytes; the plan is made, agreed to and carried out."""
    plan = await api.plan(verb="expire", target="standby", retention="1ms")
    assert plan["document"]["done"] is False
    job = await api.run(plan)
    assert (job["state"], job["exit_code"]) == ("done", 0), job
    assert (await api.result(verb="verify", target="standby", level="checksum"))["good"]


@pytest.mark.long
async def test_the_lines_of_the_page_bring_a_real_target_back(dropped: User):
    """Gate: `tests/unit/control/test_api_page.py` types the same lines."""
    first = (await dropped.types("points", "--json", "--all", "--limit", "100")).result["first"]
    async with served(dropped) as api:
        found = await typed(
            api.url,
            api.token,
            other={"2026-01-31T12:00:00Z": first["source_time"]},
            below="## The calls of a Druid backup by REST",
        )
        for one in found:
            if "task" in one.answer:
                _, job = await api.ask("GET", f"/v1/jobs/{one.answer['task']}?wait=60")
                assert (job["state"], job["exit_code"]) == ("done", 0), (one.block, job)
        (state,) = (one for one in found if "status" in one.answer)
        assert state.answer["status"]["status"] == "SUCCESS"
        assert len(await ids(dropped.target, "orders")) == DROPPED


KINDS: dict[str, dict[str, Any]] = {
    "restore": {"verb": "restore", "target": "standby", "to_offset": FIRST},
    "undelete": {"verb": "undelete", "datasource": "orders", "on": "standby"},
    "restore beside": {
        "verb": "restore beside", "target": "standby", "rename": "orders=orders NUMBER",
        "to_offset": FIRST,
    },
    "repair": {"verb": "repair", "target": "standby"},
    "expire": {"verb": "expire", "target": "vault", "retention": "1ms"},
    "verify": {"verb": "verify", "target": "standby", "level": "checksum"},
    "drill": {"verb": "drill", "target": "vault"},
    "points create": {"verb": "points create", "name": "kept", "targets": ["vault"]},
    "apply": {"verb": "apply", "target": "standby"},
}  # fmt: skip
PLANNED = frozenset({"restore", "undelete", "restore beside", "repair", "expire"})


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_killed_while_a_job_of_any_kind_waits_runs_or_has_ended(
    dropped: User, scratch: Path, kind: str
):
    """The next start says what became of it; done again it ends well, and the target is whole.

    Gate: `tests/unit/control/test_jobs.py` plays the kill, `test_verb_process.py` ends a process
    with its service.
    """
    edited(dropped, lambda found: found.update(drill={"folder": str(scratch)}))
    rng = Random(kind)
    for number in range(times(gate=1, long=KILLS)):
        if kind == "repair":
            flip(smooshes(dropped.folder / "target" / "wikipedia")[0])
        body = {
            name: value.replace("NUMBER", f"{number}") if isinstance(value, str) else value
            for name, value in KINDS[kind].items()
        }
        after_s = rng.uniform(0.0, 3.0) * (number + 1) / 2
        id_, queued = await _killed_with(dropped, kind, body, after_s)
        async with served(dropped) as api:
            _, job = await api.ask("GET", f"/v1/jobs/{id_}")
            assert job["state"] in {"interrupted", "done"}, job
            if job["state"] == "interrupted":
                assert "the service ended while it ran" in job["why"]
            _, waiting = await api.ask("GET", f"/v1/jobs/{queued}")
            assert waiting["state"] in {"interrupted", "done"}, waiting
            await _done_again(api, kind, body, job)
    proof = await dropped.types("verify", "standby", "--level", "checksum", "--json")
    assert proof.code == 0, proof.out


async def _killed_with(
    user: User, kind: str, asked: dict[str, Any], after_s: float
) -> tuple[str, str]:
    """Kill a service some time after a job has begun; return that job and one that waited."""
    offered(user, jobs={"running_max": 1})
    async with served(user, code=-signal.SIGKILL) as api:
        path, body = "/v1/jobs", asked
        if kind in PLANNED:
            path, body = "/v1/runs", {"digest": (await api.plan(**asked))["digest"]}
        status, job = await api.ask("POST", path, body)
        assert status == 202, job
        _, queued = await api.ask("POST", "/v1/jobs", {"verb": "log"})
        await asyncio.sleep(after_s)
        await api.process.kill()
    return job["id"], queued["id"]


async def _done_again(api: Api, kind: str, asked: dict[str, Any], job: dict[str, Any]) -> None:
    """Do what was interrupted once more; what carried out a plan is planned again."""
    if job["state"] == "done":
        return
    if kind not in PLANNED:
        status, again = await api.ask("POST", f"/v1/jobs/{job['id']}/again?wait=30")
        assert status in {200, 202}, again
        found = await api.ended(again)
        taken = kind == "points create" and "there is a point" in found["why"]
        assert found["state"] == "done" or taken, found
        return
    status, refused = await api.ask("POST", f"/v1/jobs/{job['id']}/again")
    assert (status, "has to be read first" in refused["detail"]) == (409, True)
    status, plan = await api.ask("POST", "/v1/plans?wait=60", asked)
    if status == 200:
        found = await api.run(plan)
        assert found["state"] == "done", found
    else:  # it was done, and the kill came between that and its answer
        assert status == 422, plan
