"""Over HTTP: who may see what, and that a browser needs nothing from elsewhere."""

import asyncio
import re
from collections.abc import Sequence
from hashlib import sha256

import aiohttp
import pytest

from replicator.model.event import Offset, Record
from replicator.model.operations.access import Principal, Role
from replicator.page.files import STATIC, page_files
from replicator.services.history.reader import History
from replicator.services.inspection.log_listing import LogFilter, event_json, newest_events
from replicator.task_group import TaskGroup
from tests.page.made_up import MadeUp, made_up
from tests.page.made_up_log import HOSTILE
from tests.page.serving import OPERATOR, TOKEN, serving

LIMITED = Principal(name="eve", role=Role.VIEWER, targets=frozenset({"standby"}))
NOTICE = STATIC / "vendor" / "NOTICE.txt"
CUTS = 1_000


@pytest.fixture(scope="module")
def made() -> MadeUp:
    return asyncio.run(made_up(cuts=CUTS, datasources=5))


async def asked(made: MadeUp, path: str, *, principal: Principal = OPERATOR, token: str = TOKEN):
    async with serving(made, principal) as url, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {token}"}
        async with session.get(f"{url}{path}", headers=headers) as answer:
            return answer, await answer.read()


async def answered(made: MadeUp, path: str, *, principal: Principal = OPERATOR):
    async with serving(made, principal) as url, aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with session.get(f"{url}/v1/page/{path}", headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)


async def test_files_are_open_and_data_are_not(made: MadeUp):
    answer, body = await asked(made, "/page/", token="")
    assert (answer.status, answer.content_type) == (200, "text/html")
    assert b"<script" in body
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert (await asked(made, "/v1/page/overview", token="wrong"))[0].status == 401


async def test_a_file_that_is_known_is_not_sent_again(made: MadeUp):
    async with serving(made) as url, aiohttp.ClientSession() as session:
        async with session.get(f"{url}/page/app.js") as first:
            etag = first.headers["ETag"]
        known = {"If-None-Match": etag}
        async with session.get(f"{url}/page/app.js", headers=known) as second:
            assert (second.status, await second.read()) == (304, b"")


@pytest.mark.parametrize("path", ["accidents", "log"])
async def test_what_concerns_no_target_is_closed_to_who_may_see_one(made: MadeUp, path: str):
    status, body = await answered(made, path, principal=LIMITED)
    assert (status, "eve may see only standby" in body["detail"]) == (403, True)


async def test_me_says_what_may_be_done(made: MadeUp):
    status, body = await answered(made, "me", principal=LIMITED)
    assert status == 200
    assert (body["name"], body["role"], body["targets"]) == ("eve", "viewer", ["standby"])
    assert "cut.closed" in body["event_types"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("timeline?columns=0", "columns"),
        ("timeline?columns=5000", "columns"),
        ("timeline?begins=yesterday", "begins"),
        ("timeline?begins=2026-01-01T00:00:00", "query.begins: it has no zone"),
        ("timeline?columns=1&begins=0001-01-01T00:00:00%2B14:00", "begins: no such time in UTC"),
        ("moment?time=9999-12-31T23:59:59-10:00", "time: no such time in UTC"),
        ("moment?offset=-1", "offset"),
        ("moment?other=1", "other"),
        ("log?type=nothing", "there is no such event"),
        ("log?limit=100000", "limit"),
    ],
)
async def test_what_is_no_request_is_refused_with_its_member(made: MadeUp, path: str, said: str):
    status, body = await answered(made, path)
    assert status == 422
    assert said in body["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "timeline?columns=1&begins=0001-01-01T00:00:00Z&ends=9999-12-31T23:59:59Z",
        "timeline?begins=9999-12-31T23:59:59Z&ends=0001-01-01T00:00:00Z",
        "moment?time=9999-12-31T23:59:59Z",
        f"moment?offset={10**18 - 1}",
        f"log?before={10**18 - 1}&limit=1",
        "log?datasource=%00%1b%E2%80%AE",
        "accidents?datasource=%00",
    ],
)
async def test_what_is_far_out_is_answered(made: MadeUp, path: str):
    assert (await answered(made, path))[0] == 200


async def test_a_moment_before_all_cuts_is_not_found(made: MadeUp):
    status, body = await answered(made, "moment?time=2001-01-01T00:00:00Z")
    assert (status, "no cut is known" in body["detail"]) == (404, True)


async def test_the_log_is_listed_back_from_its_end_page_by_page(made: MadeUp):
    offsets, before = list[int](), ""
    while True:
        _, body = await answered(made, f"log?type=cut.closed&limit=400{before}")
        offsets += [one["offset"] for one in body["events"]]
        if body["earlier"] is None:
            break
        before = f"&before={body['earlier']}"
    assert offsets == [made.log.closed(cut).offset for cut in range(CUTS, 0, -1)]


async def test_events_are_decoded_for_one_client_after_the_other(
    made: MadeUp, monkeypatch: pytest.MonkeyPatch
):
    """Each reading may decode 20,000 records, which holds up `run` meanwhile."""
    reading, at_once = 0, list[int]()
    raw = History.raw

    async def counted(self: History, start: Offset) -> Sequence[Record]:
        nonlocal reading
        reading += 1
        at_once.append(reading)
        await asyncio.sleep(0)
        found = await raw(self, start)
        reading -= 1
        return found

    monkeypatch.setattr(History, "raw", counted)
    async with serving(made, OPERATOR) as url, aiohttp.ClientSession(url) as session:

        async def ask() -> int:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with session.get("/v1/page/log?datasource=nobody", headers=headers) as answer:
                return answer.status

        async with TaskGroup() as group:
            asked_for = [group.create_task(ask()) for _ in range(4)]
    assert [one.result() for one in asked_for] == [200] * 4
    assert len(at_once) > 4
    assert max(at_once) == 1


async def test_the_log_of_one_datasource_is_what_the_command_line_lists(made: MadeUp):
    found = await newest_events(
        made.history, LogFilter(datasource=HOSTILE), before=None, limit=50, records_max=20_000
    )
    assert len(found.entries) == 50
    assert {one["datasource"][0] for one in map(event_json, found.entries)} == {HOSTILE}
    end = await newest_events(
        made.history, LogFilter(datasource="nobody"), before=None, limit=50, records_max=4_000
    )
    assert (end.entries, end.earlier) == ([], 8 * CUTS - 4_000)


def test_a_browser_needs_nothing_from_elsewhere():
    for name, file in page_files().items():
        text = file.content.decode()
        if name.startswith("vendor/"):
            continue
        assert not re.search(
            r"(?:https?:)?//[a-z0-9]", text.replace("http://www.w3.org/2000/svg", "")
        ), name
        assert "innerHTML" not in text, name
        assert "dangerouslySetInnerHTML" not in text, name


def test_each_vendored_file_is_the_one_that_its_notice_names():
    said = dict(re.findall(r"^(\S+)  ([0-9a-f]{64})$", NOTICE.read_text(), re.MULTILINE))
    there = {path.name for path in NOTICE.parent.iterdir() if path.suffix in {".js", ".css"}}
    assert set(said) == there
    for name, digest in said.items():
        assert sha256((NOTICE.parent / name).read_bytes()).hexdigest() == digest, name
