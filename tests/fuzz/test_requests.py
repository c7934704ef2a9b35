"""Whatever is sent to the web server: it goes on answering, and its log stays as it is."""

from random import Random

import pytest

from replicator.task_group import TaskGroup
from replicator.web.gate import GateLimits
from tests.fuzz.mutations import bytes_of
from tests.rings import times
from tests.unit.web.test_gate import HEALTH, said, serving
from tests.unit.web.test_web import Monitored

REQUESTS = [
    HEALTH,
    b"GET /status.json HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: [::1]:1\r\nContent-Length: 3\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
]

SEEDS = times(gate=200, long=20_000)
AT_ONCE = 8
"""Senders: most of a sender's time is waiting for the end of half a request."""


async def altered(port: int, seeds: range) -> None:
    """Send wrong versions of right requests, a seed each, one after the other."""
    for seed in seeds:
        rng = Random(seed)
        request = bytes_of(rng, rng.choice(REQUESTS), REQUESTS)
        answer = await said(port, request)
        assert answer == b"" or answer.startswith(b"HTTP/"), (seed, request)
        assert b"aiohttp" not in answer, (seed, request)


@pytest.mark.timeout(times(gate=300, long=7200))
async def test_no_request_is_a_line_in_the_log(
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
):
    limits = GateLimits(connection_s_max=0.05)  # half a request waits so long
    async with serving(Monitored().server(limits=limits)) as port:
        capfd.readouterr()
        async with TaskGroup() as group:
            for sender in range(AT_ONCE):
                group.create_task(altered(port, range(sender, SEEDS, AT_ONCE)))
        assert (await said(port, HEALTH)).endswith(b"ok\n")
    assert (*capfd.readouterr(), caplog.records) == ("", "", [])
