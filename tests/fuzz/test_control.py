"""Whatever is sent to the control API: an answer or a problem that names what is wrong, no bug."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable

from replicator.model.operations.access import Role
from replicator.task_group import TaskGroup
from tests.fuzz.mutations import bytes_of
from tests.rings import times
from tests.unit.control.stage import Served, served
from tests.unit.web.test_gate import said

CASES = 100
"""Requests of each operation in each mode."""
REQUESTS = times(gate=200, long=5_000)
AT_ONCE = 8
"""Senders: most of a sender's time is waiting for an answer to half a request."""
REFUSED = {400, 401, 403, 404, 408, 409, 413, 415, 421, 422, 429, 503}
BODIES = (
    {"verb": "verify", "target": "standby", "level": "rows", "subset": "5%"},
    {"verb": "points create", "name": "a", "to_offset": 7, "targets": ["standby"]},
    {"verb": "log", "start": 3, "limit": 10, "datasource": "orders"},
)

LOOKS = (
    b"/v1/jobs?limit=3",
    b"/v1/points?limit=7&all=true&before=4711",
    b"/v1/holds?target=standby",
    b"/v1/page/timeline?columns=9&begins=2026-01-31T12:00:00Z",
)


def requests(token: str) -> list[bytes]:
    """Return requests that are good, as bytes."""
    posts = [
        b"POST /v1/jobs?wait=0.1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
        + token.encode()
        + b"\r\nContent-Type: application/json\r\nIdempotency-Key: a\r\nContent-Length: "
        + str(len(body)).encode()
        + b"\r\nConnection: close\r\n\r\n"
        + body
        for body in map(orjson.dumps, BODIES)
    ]
    looks = [
        b"GET "
        + path
        + b" HTTP/1.1\r\nHost: [::1]\r\nAuthorization: Bearer "
        + token.encode()
        + b"\r\nConnection: close\r\n\r\n"
        for path in LOOKS
    ]
    return [*posts, *looks, posts[0].replace(b"/v1/jobs", b"/druid/indexer/v1/task")]


@pytest.mark.timeout(times(gate=300, long=7200))
async def test_no_altered_request_is_a_bug_or_hangs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    async with served(tmp_path, page=True) as stage:
        good = requests(await stage.token(Role.ADMIN))
        port = int(stage.control.url.rpartition(":")[2])
        async with TaskGroup() as group:
            for sender in range(AT_ONCE):
                group.create_task(altered(port, good, range(sender, REQUESTS, AT_ONCE)))
        assert (await stage.ask("GET", "/v1/whoami"))[0] == 200
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err


async def altered(port: int, good: list[bytes], numbers: range) -> None:
    """Send wrong versions of good requests, a number each, one after the other."""
    for number in numbers:
        rng = Random(number)
        request = bytes_of(rng, rng.choice(good), good)
        # What is cut off waits for its end: whoever sent it goes away, as here.
        answer = await said(port, request, wait_s=0.3, half_is_fine=True)
        assert b" 500 " not in answer[:20], (number, request, answer)
        assert b"aiohttp" not in answer, (number, request)


@pytest.mark.long
@pytest.mark.timeout(3600)
async def test_no_request_that_the_document_allows_or_forbids_is_a_bug_or_hangs(tmp_path: Path):
    async with served(tmp_path, page=True) as stage:
        token = await stage.token(Role.ADMIN)
        document = orjson.loads(stage.control.document)
        await asyncio.to_thread(fuzz, document, stage, token)
        assert (await stage.ask("GET", "/v1/whoami"))[0] == 200


def fuzz(document: dict[str, Any], stage: Served, token: str) -> None:
    """Send requests that the document allows, and some that it does not."""
    import schemathesis  # noqa: PLC0415 - its import takes a second, in the long run alone

    schema = schemathesis.openapi.from_dict(document)
    schema.config.base_url = stage.control.url
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr] # the document is valid
        for mode in schemathesis.GenerationMode:
            with suppress(Unsatisfiable):  # nothing of it can be wrong
                sent(operation, mode, token)()


def sent(operation: Any, mode: Any, token: str) -> Callable[[], None]:
    @seed(1)
    @settings(
        max_examples=CASES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        answer = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=20)
        assert answer.status_code < 300 or answer.status_code in REFUSED, (
            answer.status_code,
            answer.text,
            case.as_curl_command(),
        )
        if answer.status_code >= 400:
            assert answer.headers["content-type"][0].startswith("application/problem+json")
            assert orjson.loads(answer.content)["status"] == answer.status_code

    return send
