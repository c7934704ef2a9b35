"""Who gets in, who may what, and that each refusal says which member is wrong and is remembered."""

import asyncio
import errno
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import orjson
import pytest

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.machine.verb_process import VerbEnded
from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.sqlite.control_file import ControlFile
from replicator.adapters.sqlite.tokens import TokenStore
from replicator.app.verbs.privacy import open_to_others
from replicator.control import service
from replicator.control.access import door, refusal_limit
from replicator.control.access.audit import AuditLog
from replicator.control.endpoints.views import WAIT_S_MAX
from replicator.control.routes import Route
from replicator.control.service import CONNECTION_S_MAX
from replicator.errors import ConfigError, TransientError
from replicator.model.operations.access import Role, read_token
from replicator.services.records.deed_record import Deed
from replicator.web.gate import IDLE_S_MAX
from tests.unit.control.stage import Served, ended, served, soon, soon_running

VERIFY = {"verb": "verify", "target": "standby"}
EXPIRE = {"verb": "expire", "target": "standby"}
BEARER = "Bearer "


async def test_nobody_gets_in_without_a_good_token(tmp_path: Path):
    async with served(tmp_path, more={"web.control.failed_logins_max": 100}) as stage:
        good = await stage.token(Role.VIEWER)
        revoked, expired = (
            await stage.token(Role.ADMIN),
            await stage.token(Role.ADMIN, until=soon(0)),
        )
        parts = read_token(revoked)
        assert parts is not None
        assert await stage.control.tokens.revoke(parts[0], soon(0))
        for header, why in (
            (None, "no token was sent"),
            ("", "no token was sent"),
            (BEARER, "the token is wrong"),
            ("Basic YTpi", "the token is wrong"),
            (BEARER + good[:-1], "the token is wrong"),
            (BEARER + good.replace("_", "-"), "the token is wrong"),
            (BEARER + "drt_00000000_" + good[13:], "the token is wrong"),
            (BEARER + revoked, "the token was revoked"),
            (BEARER + expired, "the token has expired"),
        ):
            headers = {} if header is None else {"Authorization": header}
            status, problem = await stage.ask("GET", "/v1/whoami", role=None, headers=headers)
            assert (status, problem["detail"]) == (401, why), header
            assert stage.headers["WWW-Authenticate"] == "Bearer"
        lines = stage.audited()
        assert [one["status"] for one in lines] == [401] * 9
        assert {one["operation"] for one in lines} == {"who_am_i"}
        status, found = await stage.ask("GET", "/v1/whoami", token=good)
        assert (status, found) == (200, {"name": "viewer", "role": "viewer", "targets": None})
        kept = (tmp_path / "prod.log.control" / "control.db-wal").read_bytes()
        assert good[13:].encode() not in kept
        assert (tmp_path / "prod.log.control").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("what", "mode", "owner", "why"),
    [
        ("", 0o700, 4242, "belongs to user 4242"),
        ("", 0o777, None, "other users of this machine can write it"),
        ("control.db", 0o644, 4242, "belongs to user 4242"),
        ("control.db", 0o666, None, "other users of this machine can write it"),
        ("control.db-wal", 0o600, 4242, "belongs to user 4242"),
    ],
)
async def test_tokens_that_somebody_else_may_have_written_are_not_believed(
    tmp_path: Path, what: str, mode: int, owner: int | None, why: str
):
    folder = tmp_path / "control"
    folder.mkdir(mode=0o700)
    path = folder / what
    if what:
        path.touch()
    path.chmod(mode)
    if owner is not None:
        if os.geteuid():
            pytest.skip("only root gives files away")
        os.chown(path, owner, owner)
    file = ControlFile(folder / "control.db")
    with pytest.raises(ConfigError, match=why) as caught:
        await TokenStore(file).tokens()
    assert str(path) in str(caught.value)
    await file.close()


async def test_what_the_service_keeps_and_others_can_read_is_named(tmp_path: Path):
    async with served(tmp_path) as stage:
        await stage.ask("POST", "/v1/jobs/none/cancel")
        folder, settings = tmp_path / "prod.log.control", stage.application.settings
        assert not [
            one for one in await open_to_others(settings, []) if folder in (one, one.parent)
        ]
        for name in ("", "audit.jsonl", "control.db"):
            (folder / name).chmod(0o755)
        found = set(await open_to_others(settings, []))
        assert {folder, folder / "audit.jsonl", folder / "control.db"} <= found


async def test_each_role_may_what_it_may(tmp_path: Path):
    async with served(tmp_path) as stage:
        for role, body, allowed in (
            (Role.VIEWER, {"verb": "log"}, True),
            (Role.VIEWER, VERIFY, False),
            (Role.OPERATOR, VERIFY, True),
            (Role.OPERATOR, {"verb": "target create", "target": "standby"}, False),
            (Role.OPERATOR, {"verb": "hold remove", "name": "audit", "on": "vault"}, False),
            (Role.ADMIN, {"verb": "target create", "target": "standby"}, True),
        ):
            before = len(stage.program.runs)
            status, document = await stage.ask("POST", "/v1/jobs?wait=5", body, role=role)
            assert status == (200 if allowed else 403), document
            assert len(stage.program.runs) - before == allowed
            last = stage.audited()[-1]
            assert (last["who"], last["status"]) == (role.value, status)


async def test_a_plan_runs_by_whoever_may_what_it_does(tmp_path: Path):
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended({"plan": {"horizon": 1}, "done": False}))
        assert (await stage.ask("POST", "/v1/plans", EXPIRE, role=Role.OPERATOR))[0] == 403
        _, plan = await stage.ask("POST", "/v1/plans?wait=5", EXPIRE)
        run = {"digest": plan["digest"]}
        assert (await stage.ask("POST", "/v1/runs", run, role=Role.OPERATOR))[0] == 403
        assert (await stage.ask("POST", "/v1/runs?wait=5", run))[0] == 200


async def test_a_job_is_ended_by_whoever_may_ask_for_it(tmp_path: Path):
    create = {"verb": "target create", "target": "standby"}
    async with served(tmp_path) as stage:
        stage.program.holds.append(True)
        _, first = await stage.ask("POST", "/v1/jobs", create)
        _, second = await stage.ask("POST", "/v1/jobs", VERIFY)
        unknown = {"verb": "of another release", "target": "vault"}
        stage.control.jobs._live[second["id"]].job = replace(
            stage.control.jobs._live[second["id"]].job, request=unknown
        )
        for job in (first, second):
            path = f"/v1/jobs/{job['id']}/cancel"
            status, problem = await stage.ask("POST", path, role=Role.OPERATOR)
            assert (status, problem["detail"]) == (403, "this needs the role admin")
            assert (await stage.ask("POST", path))[0] == 202
        again = f"/v1/jobs/{first['id']}/again"
        assert (await stage.ask("POST", again, role=Role.OPERATOR))[0] == 403


async def test_a_token_for_some_targets_opens_no_other(tmp_path: Path):
    async with served(tmp_path) as stage:
        token = await stage.token(Role.ADMIN, targets=["standby"])
        stage.program.says.append(lambda _: ended({"plan": {"horizon": 1}, "done": False}))

        async def asked(method: str, path: str, body: object = None) -> int:
            return (await stage.ask(method, path, body, token=token))[0]

        assert await asked("POST", "/v1/jobs?wait=5", VERIFY) == 200
        assert await asked("POST", "/v1/jobs", {**VERIFY, "target": "vault"}) == 403
        assert await asked("POST", "/v1/jobs", {**VERIFY, "from_store": "vault"}) == 403
        assert await asked("POST", "/v1/jobs", {**VERIFY, "target": "nobody"}) == 403
        assert await asked("POST", "/v1/jobs", {"verb": "log"}) == 403
        assert await asked("GET", "/v1/targets/vault") == 403
        cluster = {"type": "copy", "dataSource": "a", "targetCluster": "vault"}
        assert await asked("POST", "/druid/indexer/v1/task", cluster) == 403
        _, theirs = await stage.ask("POST", "/v1/jobs?wait=5", {**VERIFY, "target": "vault"})
        for path in ("", "/text"):
            assert await asked("GET", f"/v1/jobs/{theirs['id']}{path}") == 403
        assert await asked("POST", f"/v1/jobs/{theirs['id']}/cancel") == 403
        _, plan = await stage.ask("POST", "/v1/plans?wait=5", {**EXPIRE, "target": "vault"})
        assert await asked("GET", f"/v1/plans/{plan['digest']}") == 403
        assert await asked("POST", "/v1/runs", {"digest": plan["digest"]}) == 403
        both = {"verb": "repair", "target": "standby", "from_target": "vault"}
        _, plan = await stage.ask("POST", "/v1/plans?wait=5", both)
        assert await asked("GET", f"/v1/plans/{plan['digest']}") == 403
        _, both_used = await stage.ask("POST", "/v1/runs?wait=5", {"digest": plan["digest"]})
        assert both_used["targets"] == ["standby"]
        assert await asked("GET", f"/v1/jobs/{both_used['id']}") == 403
        _, jobs = await stage.ask("GET", "/v1/jobs", token=token)
        assert [one["targets"] for one in jobs["jobs"]] == [["standby"]]
        _, targets = await stage.ask("GET", "/v1/targets", token=token)
        assert [one["name"] for one in targets["targets"]] == ["standby"]
        _, deeds = await stage.ask("GET", "/v1/audit", token=token)
        assert deeds == {"deeds": []}
        assert await asked("GET", "/metrics") == 403


async def test_too_many_wrong_tokens_are_told_to_wait_and_fill_no_log(tmp_path: Path):
    async with served(tmp_path) as stage:
        statuses = [(await stage.ask("GET", "/v1/whoami", role=None))[0] for _ in range(6)]
        assert statuses == [401, 401, 401, 429, 429, 429]
        assert int(stage.headers["Retry-After"]) in range(1, 62)
        assert len(stage.audited()) == 3
        assert (await stage.ask("GET", "/v1/whoami"))[0] == 200


async def test_strangers_end_no_request_of_whoever_has_a_token(tmp_path: Path):
    """Nor does somebody with a token end those of another, however many they make."""

    def get(path: str, token: str) -> bytes:
        header = f"Authorization: {BEARER}{token}"
        return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n\r\n".encode()

    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(
            served(tmp_path, more={"web.control.connections_max": 8})
        )

        async def opened(sent: bytes) -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(sent)
            return reader

        stage.program.holds.append(True)
        _, job = await stage.ask("POST", "/v1/jobs", VERIFY)
        await soon_running(stage, 1)
        admin, viewer = await stage.token(Role.ADMIN), await stage.token(Role.VIEWER)
        port = int(stage.control.url.rpartition(":")[2])
        waits = f"/v1/jobs/{job['id']}?wait=30"
        readers = []
        for _ in range(2):  # each has shown its token before the others come
            readers.append(await opened(get("/v1/whoami", admin) + get(waits, admin)))
            assert b"200 OK" in await readers[-1].readuntil(b"}")
        for sent in (b"GET /", get(waits, viewer)):
            for _ in range(20):
                await opened(sent)
        assert (await stage.ask("GET", "/healthz", role=None))[0] == 200, "a stranger gets in"
        stage.program.runs[0].may_end.set()
        for reader in readers:
            async with asyncio.timeout(30):
                assert b"200 OK" in await reader.readline()


async def test_whoever_reads_no_answers_loses_their_own_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """An answer of 16 MiB is in memory until it is read, and so is each further one."""
    monkeypatch.setattr(service, "UNREAD_MAX", 1)
    document = {"result": {"events": "x" * 16_000_000}}
    said = VerbEnded(code=0, document=document, stdout="", stderr="")
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(
            served(tmp_path, more={"web.control.jobs.answer_bytes_max": 32 << 20})
        )
        stage.program.says.append(lambda _: said)
        _, job = await stage.ask("POST", "/v1/jobs?wait=5", {"verb": "log"})
        viewer = await stage.token(Role.VIEWER)
        header = f"Host: localhost\r\nAuthorization: {BEARER}{viewer}"
        request = f"GET /v1/jobs/{job['id']} HTTP/1.1\r\n{header}\r\n\r\n".encode()
        port = int(stage.control.url.rpartition(":")[2])
        opened = list[asyncio.StreamReader]()
        for _ in range(6):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
            stack.callback(writer.close)
            writer.write(request)
            opened.append(reader)
            assert b"200 OK" in await reader.readline()
        gate = stage.control._port._gate
        assert gate is not None
        unsent = [one.unsent_bytes for one in gate._known._whose if one.unsent_bytes]
        assert [size // 1_000_000 for size in unsent] == [16, 16]
        assert (await stage.ask("GET", f"/v1/jobs/{job['id']}"))[0] == 200, "others get theirs"


async def test_who_asked_for_what_is_kept_here_and_in_the_targets_store(tmp_path: Path):
    async with served(tmp_path) as stage:
        _, job = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, role=Role.OPERATOR)
        await stage.ask("GET", "/v1/status")
        begun, done = stage.audited()
        assert (begun["status"], done["status"]) == (None, 200)
        assert begun["id"] == done["id"]
        assert (done["who"], done["role"], done["job_id"]) == ("operator", "operator", job["id"])
        assert done["request"]["target"] == "standby"
        _, deeds = await stage.ask("GET", "/v1/audit?limit=1")
        assert deeds["deeds"] == [done]
        async with asyncio.timeout(5):
            while not (kept := list((tmp_path / "standby").rglob("audit/**/*.json"))):
                await asyncio.sleep(0.02)
        assert job["id"] in kept[0].read_text()
        assert list((tmp_path / "vault").rglob("audit/**/*.json")) == []


class HangingArea(MemoryArea):
    """A store on a mount that is gone."""

    async def create(self, name: str, data: bytes) -> bool:
        return bool(await asyncio.Event().wait())


class BrokenArea(MemoryArea):
    """A store whose answers bring out a bug."""

    async def create(self, name: str, data: bytes) -> bool:
        del name, data
        raise AttributeError("an answer that nobody has thought of")

    async def names(self, prefix: str) -> Sequence[str]:
        del prefix
        raise AttributeError("an answer that nobody has thought of")


@pytest.mark.parametrize("area", [HangingArea, BrokenArea])
async def test_a_store_that_hangs_keeps_no_deed_out_of_others(
    tmp_path: Path, area: type[MemoryArea]
):
    """Nor does one that brings out a bug, which ended `run` with all targets."""
    areas = {"standby": area(), "vault": MemoryArea()}
    audit = AuditLog(
        tmp_path / "audit.jsonl",
        bytes_max=1 << 20,
        areas=areas,
        kept=timedelta(days=1),
        clock=SystemClock(),
    )
    async with served(tmp_path) as stage:
        await stage.ask("POST", "/v1/jobs/none/cancel")
        deed = Deed(**{**stage.audited()[-1], "at": soon(0), "targets": ("standby", "vault")})
    running = asyncio.create_task(audit.run(asyncio.Event()))
    await audit.record(deed)
    async with asyncio.timeout(10):
        while not list(await areas["vault"].names("audit/")):
            await asyncio.sleep(0.01)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])
    await audit.close()


async def test_what_is_kept_in_a_store_long_enough_is_removed(tmp_path: Path):
    folder = tmp_path / "standby" / "_replicator" / "audit"
    for day in ("2020/01/31", "9000/01/31"):
        (folder / day).mkdir(parents=True)
        (folder / day / "120000.000000-0.json").write_text("{}")
    async with served(tmp_path):
        async with asyncio.timeout(5):
            while (folder / "2020/01/31/120000.000000-0.json").exists():
                await asyncio.sleep(0.02)
        assert (folder / "9000/01/31/120000.000000-0.json").exists()


async def test_a_viewer_pushes_nothing_out_of_the_audit_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Long requests are cut, refusals have lines up to a limit, and what is left out is said."""
    monkeypatch.setattr(refusal_limit, "LINES_MAX", 5)
    long = {"verb": "points create", "name": "a", "targets": [f"x{i}" for i in range(4000)]}
    async with served(tmp_path, more={"web.control.body_bytes_max": "64KiB"}) as stage:
        for body, status in ((long, 403), ({"verb": "log", "datasource": 7}, 422)):
            for _ in range(5):
                found, _ = await stage.ask("POST", "/v1/jobs", body, role=Role.VIEWER)
                assert found == status
        lines = stage.audited()
        assert len(lines) == 5
        assert {one["token"] for one in lines} == {stage.tokens["viewer"].split("_")[1]}
        assert max(len(orjson.dumps(one)) for one in lines) < 4096
        assert set(lines[0]["request"]) == {"begins", "bytes", "sha256"}
        assert (await stage.ask("POST", "/v1/jobs?wait=5", VERIFY))[0] == 200
        assert [one["status"] for one in stage.audited()[5:]] == [None, 200]
    said = stage.audited()[-1]
    assert (said["who"], said["status"]) == ("viewer", 429)
    assert said["why"].startswith("5 more requests that changed nothing since ")


async def test_whose_deeds_come_to_nothing_again_and_again_begins_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each deed has a line before it begins, so a job that there is not would fill the log."""
    monkeypatch.setattr(refusal_limit, "LINES_MAX", 5)
    async with served(tmp_path) as stage:
        unknown = f"/v1/jobs/{'0' * 32}/again"
        asked = [await stage.ask("POST", unknown, role=Role.OPERATOR) for _ in range(9)]
        assert [status for status, _ in asked] == [404] * 5 + [429] * 4
        assert len(stage.audited()) <= 2 * 5 + 5
        assert (await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, role=Role.ADMIN))[0] == 200


async def test_what_changes_nothing_again_and_again_is_no_way_to_push_others_out_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A look that is run again, and an order that is sent again by its key, have lines as well."""
    monkeypatch.setattr(refusal_limit, "LINES_MAX", 5)
    key = {"Idempotency-Key": "k"}
    async with served(tmp_path) as stage:
        _, job = await stage.ask("POST", "/v1/jobs?wait=5", {"verb": "log"}, role=Role.VIEWER)
        again = f"/v1/jobs/{job['id']}/again?wait=5"
        asked = [
            (await stage.ask("POST", again, role=Role.VIEWER, headers=sent))[0]
            for sent in [None] * 4 + [key] * 4
        ]
        assert asked == [200] * 5 + [429] * 3
        asked = [
            (await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, role=Role.OPERATOR, headers=key))[0]
            for _ in range(9)
        ]
        assert asked == [200] * 6 + [429] * 3, "the first one changes something"
        assert (await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, role=Role.ADMIN))[0] == 200


async def test_whoever_takes_back_their_own_jobs_pushes_nobody_out_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """To ask for a job and to take it back changes nothing, and has four lines."""
    monkeypatch.setattr(refusal_limit, "LINES_MAX", 3)
    async with served(tmp_path) as stage:
        stage.program.holds.extend([True] * 2)
        others = (await stage.ask("POST", "/v1/jobs", VERIFY, role=Role.ADMIN))[1]["id"]
        asked = list[int]()
        for _ in range(5):
            status, job = await stage.ask("POST", "/v1/jobs", VERIFY, role=Role.OPERATOR)
            asked.append(status)
            if status == 202:
                cancel = f"/v1/jobs/{job['id']}/cancel"
                asked.append((await stage.ask("POST", cancel, role=Role.OPERATOR))[0])
        assert asked == [202] * 6 + [429] * 2
        assert (await stage.ask("POST", f"/v1/jobs/{others}/cancel", role=Role.ADMIN))[0] == 202


async def test_strangers_have_few_lines_however_many_addresses_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(refusal_limit, "LINES_MAX", 5)
    async with served(tmp_path) as stage:
        foreign = {"Origin": "https://evil.example"}
        asked = [await stage.ask("GET", "/healthz", role=None, headers=foreign) for _ in range(5)]
        assert [status for status, _ in asked] == [403, 403, 403, 429, 429]
        assert len(stage.audited()) == 3
        port = stage.control.url.rpartition(":")[2]
        for number in range(2, 4):
            connector = aiohttp.TCPConnector(local_addr=(f"127.0.1.{number}", 0))
            async with aiohttp.ClientSession(connector=connector) as session:
                for _ in range(3):
                    async with session.get(f"http://127.0.0.1:{port}/v1/whoami") as answer:
                        assert answer.status == 401
        assert len(stage.audited()) == 5
    assert stage.audited()[-1]["why"].startswith("4 more requests")


async def test_the_newest_deeds_are_found_behind_long_lines_and_in_files_put_aside(tmp_path: Path):
    file = tmp_path / "audit.jsonl"
    long = "x" * 100_000
    for name, numbers in (("audit.jsonl.2", "01"), ("audit.jsonl.1", "23"), ("audit.jsonl", "45")):
        lines = [orjson.dumps({"id": one, "why": long}) for one in numbers]
        file.with_name(name).write_bytes(b"\n".join([*lines, b""]))
    with file.open("ab") as opened:
        opened.write(b'{"cut sho')
    audit = AuditLog(file, bytes_max=1, areas={}, kept=timedelta(days=1), clock=SystemClock())
    assert "".join(str(one["id"]) for one in await audit.newest(5)) == "54321"
    await audit.close()


async def test_nothing_is_done_that_cannot_be_written_down(tmp_path: Path):
    async with served(tmp_path) as stage:
        (tmp_path / "prod.log.control" / "audit.jsonl").mkdir()
        status, problem = await stage.ask("POST", "/v1/jobs", VERIFY)
        assert (status, problem["type"]) == (503, "TransientError")
        assert stage.program.runs == []


async def test_an_audit_log_that_is_full_is_put_aside(tmp_path: Path):
    async with served(tmp_path) as stage:
        folder = tmp_path / "prod.log.control"
        audit = AuditLog(
            folder / "audit.jsonl",
            bytes_max=2_000,
            areas={},
            kept=timedelta(days=1),
            clock=SystemClock(),
        )
        stage.control.audit._path.unlink(missing_ok=True)
        await stage.ask("POST", "/v1/jobs/none/cancel")
        deed = Deed(**{**stage.audited()[0], "at": soon(0)})
        for _ in range(40):
            await audit.record(deed)
        await audit.close()
        names = {one.name: one.stat().st_size for one in folder.glob("audit*")}
        assert sorted(names) == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
        assert max(names.values()) <= 2_000


async def test_a_line_that_a_full_disk_cut_short_spoils_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with served(tmp_path) as stage:
        await stage.ask("POST", "/v1/jobs/none/cancel")
        deed = Deed(**{**stage.audited()[0], "at": soon(0)})
        file = tmp_path / "own" / "audit.jsonl"
        file.parent.mkdir()
        audit = AuditLog(
            file, bytes_max=100_000, areas={}, kept=timedelta(days=1), clock=SystemClock()
        )
        await audit.record(deed)
        write, sizes = os.write, iter((20, None, 30))

        def short(descriptor: int, data: bytes) -> int:
            if (size := next(sizes)) is None:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return write(descriptor, data[:size])

        monkeypatch.setattr(os, "write", short)
        with pytest.raises(TransientError, match=r"audit\.jsonl"):
            await audit.record(deed)
        monkeypatch.undo()
        await audit.record(deed)
        assert len(await audit.newest(9)) == 2
        assert file.read_bytes().count(b"\n") == 3
        await audit.close()


WRONG: list[tuple[object, int, str | None]] = [
    (b"", 400, None),
    (b"{", 400, None),
    (b"\xff", 400, None),
    (b"[" * 1500, 400, None),
    ({}, 422, ""),
    ([], 422, ""),
    ({"verb": "verify"}, 422, "verify.target"),
    ({"verb": "verify", "target": 7}, 422, "verify.target"),
    ({"verb": "verify", "target": "standby", "levle": "rows"}, 422, "verify.levle"),
    ({"verb": "restore", "target": "standby"}, 422, ""),
    ({"verb": "verify", "target": "standbi"}, 404, None),
    ({"verb": "log", "datasource": "x" * 3000}, 413, None),
]


async def test_a_body_that_is_wrong_is_a_problem_that_names_its_member(tmp_path: Path):
    async with served(tmp_path) as stage:
        for body, status, field in WRONG:
            found, problem = await stage.ask("POST", "/v1/jobs", body)
            assert (found, problem["status"]) == (status, status), problem
            assert stage.headers["Content-Type"].startswith("application/problem+json")
            named = [one["field"] for one in problem["faults"]]
            assert named[:1] == ([] if field is None else [field]), problem
            if status == 404:
                assert problem["hint"] == "did you mean 'standby'? Names are exact"
        assert stage.program.runs == []


async def test_what_is_not_there_is_a_problem(tmp_path: Path):
    async with served(tmp_path) as stage:
        for method, path, status in (
            ("GET", "/v1/jobs?limit=0", 422),
            ("GET", "/v1/jobs?limit=1&limit=2", 422),
            ("GET", "/v1/jobs?nothing=1", 422),
            ("GET", "/v1/jobs?target=standbi", 404),
            ("GET", "/v1/jobs/none?wait=nan", 422),
            ("GET", "/v1/jobs/none?wait=61", 422),
            ("GET", "/v1/jobs/none", 404),
            ("GET", "/v1/nothing", 404),
            ("DELETE", "/v1/jobs", 405),
            ("GET", "/v1/plans/none", 404),
            ("GET", "/v1/targets/vualt", 404),
        ):
            found, problem = await stage.ask(method, path)
            assert (found, problem["status"]) == (status, status), path


async def test_a_key_that_is_none_and_a_body_that_is_no_json_are_refused(tmp_path: Path):
    async with served(tmp_path) as stage:
        for headers, status in (
            ({"Idempotency-Key": "x" * 201}, 422),
            ({"Content-Type": "text/plain"}, 415),
            ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ):
            assert (await stage.ask("POST", "/v1/jobs", VERIFY, headers=headers))[0] == status


async def test_no_page_of_another_site_can_ask(tmp_path: Path):
    async with served(tmp_path, more={"web.control.failed_logins_max": 100}) as stage:
        for headers, status in (
            ({"Sec-Fetch-Site": "same-origin"}, 200),
            ({"Sec-Fetch-Site": "none"}, 200),
            ({"Sec-Fetch-Site": "cross-site"}, 403),
            ({"Sec-Fetch-Site": "same-site"}, 403),
            ({"Origin": "https://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Host": "evil.example"}, 421),
        ):
            assert (await stage.ask("GET", "/v1/whoami", headers=headers))[0] == status
            found, _ = await stage.ask("POST", "/v1/jobs?wait=5", VERIFY, headers=headers)
            assert found == status, headers


async def test_every_answer_forbids_what_a_page_of_ours_does_not_need(tmp_path: Path):
    async with served(tmp_path) as stage:
        for path in ("/v1/whoami", "/nothing", "/healthz"):
            await stage.ask("GET", path)
            policy = stage.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert stage.headers["X-Content-Type-Options"] == "nosniff"
            assert stage.headers["Cache-Control"] == "no-store"
            assert "aiohttp" not in stage.headers["Server"]


async def test_a_connection_is_closed_with_an_answer_and_not_within_a_later_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whoever sends a POST on a connection that is cut off does not know whether it counted."""
    async with served(tmp_path) as stage:
        await stage.ask("GET", "/v1/whoami")
        assert "Connection" not in stage.headers
        monkeypatch.setattr(door, "KEPT_S_MAX", 0.0)
        await stage.ask("GET", "/v1/whoami")
        assert stage.headers["Connection"] == "close"
    assert CONNECTION_S_MAX >= 60.0 + IDLE_S_MAX + WAIT_S_MAX + door.BODY_S_MAX


async def test_who_watches_over_the_service_needs_no_token_but_for_metrics(tmp_path: Path):
    async with served(tmp_path) as stage:
        assert await stage.ask("GET", "/healthz", role=None) == (200, b"ok\n")
        assert (await stage.ask("GET", "/readyz", role=None))[0] == 503
        assert (await stage.ask("GET", "/metrics", role=None))[0] == 401
        status, text = await stage.ask("GET", "/metrics", role=Role.VIEWER)
        assert (status, b"replicator_build_info" in text) == (200, True)
        status, document = await stage.ask("GET", "/openapi.json", role=None)
        assert (status, document["openapi"]) == (200, "3.1.0")


async def test_a_bug_is_a_problem_and_the_service_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    async def broken(_: object):
        raise ZeroDivisionError

    route = Route(
        method="GET",
        path="/v1/broken",
        operation="broken",
        summary="",
        handler=broken,
        role=Role.VIEWER,
    )
    async with served(tmp_path, routes=[route]) as stage:
        status, problem = await stage.ask("GET", "/v1/broken")
        assert (status, problem["detail"]) == (500, "a bug of the program: ZeroDivisionError")
        assert (await stage.ask("GET", "/v1/whoami"))[0] == 200
    assert "ZeroDivisionError" in capfd.readouterr().out


async def test_a_target_pauses_at_the_cut_that_it_was_seen_at(tmp_path: Path):
    async with served(tmp_path) as stage:
        status, problem = await stage.ask(
            "POST", "/v1/jobs", {"verb": "pause", "target": "standby"}
        )
        assert (status, problem["type"]) == (409, "RefusedError")
        body = {"verb": "pause", "target": "standby"}
        await stage.sees("standby", 7)
        status, job = await stage.ask("POST", "/v1/jobs?wait=5", body)
        assert status == 200
        assert (await stage.ask("POST", "/v1/jobs?wait=5", body | {"to_offset": 7}))[0] == 200
        assert [one.arguments for one in stage.program.runs] == 2 * [
            ["restore", "--pause", "--yes", "--to-offset=7", "--", "standby"]
        ]
        await stage.sees("standby", 9)
        for path, sent in (
            ("/v1/jobs", body | {"to_offset": 7}),
            (f"/v1/jobs/{job['id']}/again", None),
        ):
            status, problem = await stage.ask("POST", path, sent)
            assert (status, problem["type"]) == (409, "RefusedError")
            assert "at offset 9, and a pause keeps it there: not at 7" in problem["detail"]
        assert len(stage.program.runs) == 2, "another cut takes a restore, and that a plan"


async def article(stage: Served, path: str, body: object) -> tuple[int, dict[str, object]]:
    return await stage.ask("POST", f"/druid/{path}?wait=5", body)


async def test_the_calls_of_a_druid_backup_make_the_same_jobs(tmp_path: Path):
    async with served(tmp_path) as stage:
        status, made = await article(
            stage, "cluster/v1/clusters", {"clusterName": "standby", "druidVersion": "33.0.0"}
        )
        assert (status, made["cluster"]) == (200, "standby")
        copy = {"type": "copy", "dataSource": "orders", "targetCluster": "standby"}
        assert (await article(stage, "indexer/v1/task", copy))[0] == 200
        assert (await article(stage, "metadata/v1/segment", {"targetCluster": "standby"}))[0] == 200
        assert [one.arguments[:2] for one in stage.program.runs] == [
            ["target", "create"],
            ["apply", "--catch-up"],
            ["apply", "--catch-up"],
        ]
        status, found = await stage.ask("GET", f"/druid/indexer/v1/task/{made['task']}/status")
        assert found["status"]["status"] == "SUCCESS"
        status, problem = await article(stage, "cluster/v1/clusters", {"clusterName": "stanby"})
        assert (status, problem["hint"]) == (404, "did you mean 'standby'? Names are exact")


async def test_an_ingest_is_planned_by_its_first_call_and_done_by_its_second(tmp_path: Path):
    ingest = {
        "type": "ingest",
        "dataSource": "orders",
        "targetCluster": "standby",
        "backupCluster": "vault",
        "timestamp": "2026-01-31T12:00:00Z",
    }
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended({"digest": "b" * 64, "cut": 1}))
        status, found = await article(stage, "indexer/v1/task", ingest)
        assert (status, found["plan"]) == (200, "b" * 64)
        assert not any("--yes" in one.arguments for one in stage.program.runs)
        other = {**ingest, "dataSource": "others", "plan": found["plan"]}
        status, problem = await article(stage, "indexer/v1/task", other)
        assert (status, "another request" in str(problem["detail"])) == (422, True)
        assert (await article(stage, "indexer/v1/task", {**ingest, "plan": found["plan"]}))[
            0
        ] == 200
        assert stage.program.runs[-1].arguments[:3] == ["restore", "run", "--yes"]
        both = {**ingest, "offset": 7}
        assert (await article(stage, "indexer/v1/task", both))[0] == 422
