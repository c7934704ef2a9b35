"""What an operator asks for from afar, done by real processes on a real PostgreSQL and folders."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from replicator.adapters.s3.service import s3_service
from replicator.adapters.s3.session import s3_client
from tests.acceptance.api import Api, offered, served
from tests.acceptance.test_cli import User, ids, user
from tests.acceptance.test_repair import flip, smooshes
from tests.acceptance.test_store_alone import archive, edited
from tests.contract.storages import s3_address
from tests.page.druid import StandIn, standing_in
from tests.rings import times
from tests.servers.postgresql import connected
from tests.servers.process import Ended
from tests.servers.stores import S3, S3_KEY, S3_SECRET
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
            far = there.out.replace(f" --service {api.url}", "")
            assert (there.code, far) == (0, here.out.replace(own, "")), there.err
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


TYPED = (
    ("status",),
    ("log",),
    ("log", "--type", "cut.closed", "--limit", "2"),
    ("diff", str(FIRST), "latest"),
    ("blame", "orders"),
    ("drill", "list"),
    ("points", "--from", "vault"),
    ("verify", "standby", "--level", "checksum"),
    ("restore", "standby", "--to-offset", str(FIRST), "--dry-run"),
    ("undelete", "orders", "--on", "standby", "--dry-run"),
    ("repair", "standby", "--subset", "100%", "--dry-run"),  # any other draws other objects
    ("expire", "standby", "--retention", "1ms", "--dry-run"),
    # what goes wrong
    ("blame", "ordres"),
    ("restore", "standby", "--to-offset", "999", "--dry-run"),
    ("restore", "standby", "--to-time", "2026-01-01T00:00:00", "--yes"),
    ("verify", "standby", "--level", "query"),
    ("expire", "vault", "--yes"),
    ("lock", "standby"),
    ("promote", "vault", "--yes"),
    ("notifications", "list"),
)
PASSES = re.compile(
    r'"\d{4}-\d\d-\d\dT[^"]*"|\b\d+(\.\d+)? (s|min|h|days)\b|\d+\.\d+|"done": (true|false)'
    r"|sample=[0-9a-f]+"
)
"""What differs between two looks at the same: times, durations, ages, samples."""


@pytest.mark.long
@pytest.mark.parametrize("form", ["document", "text"])
async def test_what_is_typed_far_away_is_answered_as_on_the_machine_itself(
    dropped: User, form: str
):
    """The same document, the same words, the same exit code; commands name the service.

    Each job is the start of a process: on a busy machine that is what takes long.
    """
    said = _document if form == "document" else _text
    more = ("--json",) if form == "document" else ()
    async with served(dropped) as api:
        different = dict[str, tuple[object, object]]()
        for words in TYPED:
            here, there = await dropped.types(*words, *more), await api.types(*words, *more)
            answers = (here.code, said(here, api)), (there.code, said(there, api))
            if answers[0] != answers[1]:
                different[" ".join(words)] = answers
        assert different == {}
        if form == "document":
            await _the_service_knows_the_same(api)


def _document(ended: Ended, api: Api) -> str:
    """Return a document without what passes."""
    assert ended.out, ended.err
    return _here(json.dumps({**json.loads(ended.out), "generated_at": ""}), api)


def _text(ended: Ended, api: Api) -> str:
    """Return what was said, wherever its lines end."""
    return _here(" ".join((ended.out + ended.err).split()), api).replace(" ", "")


def _here(text: str, api: Api) -> str:
    for named in (f" --config {api.user.config}", f" --service {api.url}"):
        text = text.replace(named, "").replace(named.replace(" ", ""), "")
    return PASSES.sub("", text)


async def _the_service_knows_the_same(api: Api) -> None:
    status = (await api.types("status", "--json")).result
    _, seen = await api.ask("GET", "/v1/status")
    assert seen["result"].keys() == status.keys()
    assert [one.keys() for one in seen["result"]["targets"]] == [
        one.keys() for one in status["targets"]
    ]
    refused = await api.types("apply", "standby", "--new-log")
    assert (refused.code, "`apply` with --new-log" in refused.err) == (2, True)


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
    "rollback": {"verb": "rollback", "datasource": "orders", "to": f"{FIRST}", "on": "standby"},
    "points remove": {"verb": "points remove", "name": "oldNUMBER", "targets": ["vault"]},
    "points rotate": {"verb": "points rotate", "target": "vault", "tiers": ["all=7d"]},
    "hold create": {
        "verb": "hold create", "name": "auditNUMBER", "on": "vault", "reason": "audit",
        "to_offset": FIRST,
    },
    "hold remove": {"verb": "hold remove", "name": "oldNUMBER", "on": "vault"},
    "pause": {"verb": "pause", "target": "standby"},
    "resume": {"verb": "resume", "target": "standby"},
    "target create": {"verb": "target create", "target": "standby"},
    "lock": {"verb": "lock", "target": "locked"},
    "failover": {"verb": "failover", "target": "standby"},
}  # fmt: skip
PLANNED = frozenset(
    {"restore", "undelete", "restore beside", "repair", "expire", "rollback", "failover"}
)
DONE_ALREADY = {
    "points create": "there is a point",
    "points remove": "there is no point",
    "hold create": "there is a hold",
    "hold remove": "there is no hold",
    "pause": "nothing",
}
"""What a verb says that was done before it was killed, and its answer was not."""


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_killed_while_a_job_of_any_kind_waits_runs_or_has_ended(
    dropped: User, scratch: Path, kind: str, request: pytest.FixtureRequest
):
    """The next start says what became of it; done again it ends well, and the target is whole.

    Gate: `tests/unit/control/test_jobs.py` plays the kill, `test_verb_process.py` ends a process
    with its service.
    """
    edited(dropped, lambda found: found.update(drill={"folder": str(scratch)}))
    rng = Random(kind)
    async with AsyncExitStack() as stack:
        if kind == "lock":
            environ: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
            environ.setenv("S3_ID", S3_KEY)
            environ.setenv("S3_KEY", S3_SECRET)
            await _locked(dropped, request.getfixturevalue("s3"), stack)
        druid = await _standing_in(dropped, stack) if kind == "failover" else None
        await _killed_again_and_again(dropped, kind, rng, druid)


async def _killed_again_and_again(
    dropped: User, kind: str, rng: Random, druid: StandIn | None
) -> None:
    for number in range(times(gate=1, long=KILLS)):
        await _prepared(dropped, kind, number)
        if druid is not None:
            plan = await dropped.types("failover", "standby", "--dry-run", "--json")
            offsets = {one["id"]: one["offsets"] for one in plan.result["supervisors"]}
            druid.offsets |= offsets
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
    if druid is not None:
        (status,) = (
            one
            for one in (await dropped.types("status", "--json")).result["targets"]
            if one["target"] == "standby"
        )
        assert status["promoted"]
        assert set(druid.running) == set(druid.offsets)
    proof = await dropped.types("verify", "standby", "--level", "checksum", "--json")
    assert proof.code == 0, proof.out


async def _prepared(user: User, kind: str, number: int) -> None:
    """Make what a job of this kind needs."""
    offset = ("--to-offset", str(FIRST))
    needed: tuple[str, ...] = ()
    if kind == "repair":
        flip(smooshes(user.folder / "target" / "wikipedia")[0])
    elif kind == "points remove":
        needed = ("points", "create", f"old{number}", *offset, "--target", "vault")
    elif kind == "hold remove":
        needed = ("hold", "create", f"old{number}", "--on", "vault", *HELD)
    elif kind == "pause":
        needed = ("apply", "standby", "--resume", "--once", "--yes")
    elif kind == "resume":
        at = (await user.types("status", "--json")).result["targets"]
        (place,) = (one["offset"] for one in at if one["target"] == "standby")
        needed = ("restore", "standby", "--pause", "--yes", "--to-offset", str(place))
    if needed:
        done = await user.types(*needed)
        assert done.code == 0, done.err


async def _locked(user: User, s3: S3, stack: AsyncExitStack) -> None:
    """Have an archive in a bucket with object lock."""
    bucket = f"locked-{user.folder.name[-20:].replace('_', '-').lower()}-{token_hex(4)}"
    client = await stack.enter_async_context(s3_client(s3_service(s3_address(s3.url, bucket))))
    await client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    storage = {
        "type": "s3", "bucket": bucket, "prefix": "druid/segments", "endpoint_url": s3.url,
        "path_style": True, "access_key_id_env": "S3_ID", "secret_access_key_env": "S3_KEY",
        "object_lock": {"mode": "governance"},
    }  # fmt: skip

    def change(found: dict[str, Any]) -> None:
        found["targets"]["locked"] = {"deep_storage": storage, "retention": "1d"}

    edited(user, change)
    applied = await user.types("apply", "locked", "--once")
    assert applied.code == 0, applied.err


async def _standing_in(user: User, stack: AsyncExitStack) -> StandIn:
    """Have a Druid that takes its time over each supervisor."""
    druid = await stack.enter_async_context(standing_in())
    druid.slow_s = 0.5

    def change(found: dict[str, Any]) -> None:
        found["targets"]["standby"]["druid"] = {"coordinator_url": druid.url}

    edited(user, change)
    return druid


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
        async with asyncio.timeout(60):
            while status == 409 and kind == "pause":  # until its cut was seen
                await asyncio.sleep(0.5)
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
        async with asyncio.timeout(60):
            while status == 409 and kind == "pause":  # until its cut was seen
                await asyncio.sleep(0.5)
                status, again = await api.ask("POST", f"/v1/jobs/{job['id']}/again?wait=30")
        assert status in {200, 202}, again
        found = await api.ended(again)
        taken = kind in DONE_ALREADY and DONE_ALREADY[kind] in found["why"]
        assert found["state"] == "done" or taken, found
        return
    status, refused = await api.ask("POST", f"/v1/jobs/{job['id']}/again")
    assert (status, "needs a new plan" in refused["detail"]) == (409, True)
    status, plan = await api.ask("POST", "/v1/plans?wait=60", asked)
    if status == 200:
        found = await api.run(plan)
        assert found["state"] == "done", found
    else:  # it was done, and the kill came between that and its answer
        assert status == 422, plan
