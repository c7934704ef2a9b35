"""What a Druid's answers mean, from a server that says what it is told to."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import encode_basic_auth

from replicator.adapters.druid.cluster import DruidAddress, DruidHttp
from replicator.adapters.druid.request import DruidLogin
from replicator.adapters.transfer import http_session
from replicator.errors import ConfigError, TransientError
from replicator.model.druid.promotion import SupervisorState
from tests.servers.fake_http import Fake, serving

STATUS = {
    "payload": {
        "suspended": False,
        "state": "RUNNING",
        "detailedState": "CREATING_TASKS",
        "activeTasks": [{"id": "a", "startingOffsets": {"0": 40}}, {"id": "b"}],
    }
}


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
async def url(fake: Fake) -> AsyncIterator[str]:
    async with serving(fake) as found:
        yield found


def druid(url: str, **more: Any) -> DruidHttp:
    return at(url, **more)


def at(*urls: str, **more: Any) -> DruidHttp:
    login = DruidLogin(**more)
    return DruidHttp(DruidAddress(coordinator_urls=urls, overlord_urls=urls, login=login))


async def test_a_supervisor_is_read_as_druid_33_tells_it(fake: Fake, url: str):
    fake.body = STATUS
    assert await druid(url).supervisor("clicks") == SupervisorState(
        is_suspended=False, state="CREATING_TASKS", starts=({"0": "40"},)
    )
    assert fake.asked[0][:2] == ("GET", "/druid/indexer/v1/supervisor/clicks/status")


async def test_an_answer_without_an_end_is_not_read_to_it(
    fake: Fake, url: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(http_session, "ANSWER_BYTES_MAX", 1000)
    fake.body = "x" * 5_000_000
    with pytest.raises(
        ConfigError, match=r"GET http://.* 127\.0\.0\.1 answered with more than 1000"
    ):
        await druid(url).supervisor("clicks")


async def test_a_supervisor_that_sleeps_is_seen_to_sleep(fake: Fake, url: str):
    fake.body = {"payload": {"suspended": True, "state": "SUSPENDED", "activeTasks": []}}
    assert await druid(url).supervisor("clicks") == SupervisorState(
        is_suspended=True, state="SUSPENDED", starts=()
    )


async def test_a_supervisor_that_the_overlord_does_not_know_is_none(fake: Fake, url: str):
    fake.status, fake.body = 404, "Cannot find any supervisor with id: [clicks]"
    assert await druid(url).supervisor("clicks") is None


async def test_a_spec_is_posted_as_it_is_with_the_login(fake: Fake, url: str):
    fake.body = {"id": "clicks"}
    await druid(url, username="me", password="secret").supervise(b'{"type":"kafka"}')
    login = encode_basic_auth("me", "secret")
    assert fake.asked == [("POST", "/druid/indexer/v1/supervisor", b'{"type":"kafka"}', login)]


async def test_tiers_and_properties(fake: Fake, url: str):
    fake.body = ["_default_tier", "hot"]
    assert await druid(url).tiers() == {"_default_tier", "hot"}
    fake.body = {"druid.coordinator.kill.on": "false"}
    assert await druid(url).properties() == {"druid.coordinator.kill.on": "false"}


async def test_a_coordinator_tells_its_release_and_its_aliases(fake: Fake, url: str):
    """As a Druid 33 answers `/status`, and a Druid 38 its dynamic configuration."""
    fake.body = {"version": "33.0.0", "modules": [], "memory": {"maxMemory": 1}}
    assert await druid(url).release() == "33.0.0"
    fake.body = {"maxSegmentsToMove": 100, "historicalTierAliases": {"hot": ["hot_1", "hot_2"]}}
    assert await druid(url).tier_aliases() == {"hot": ["hot_1", "hot_2"]}
    fake.body = {"maxSegmentsToMove": 100}
    assert await druid(url).tier_aliases() == {}
    assert [path for _, path, *_ in fake.asked] == [
        "/status",
        *["/druid/coordinator/v1/config"] * 2,
    ]


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (401, "", ConfigError, "access is denied"),
        (403, "", ConfigError, "access is denied"),
        (400, "bad spec", ConfigError, "400: bad spec"),
        (503, "no leader", TransientError, "503: no leader"),
        (200, "<html>", ConfigError, "did not answer in JSON"),
    ],
)
async def test_other_answers_are_errors_with_the_address(
    fake: Fake, url: str, status: int, body: str, error: type[Exception], said: str
):
    fake.status, fake.body = status, body
    with pytest.raises(error, match=said) as caught:
        await druid(url).tiers()
    assert url in str(caught.value)


@pytest.mark.parametrize("body", ["[[]]", '"x"', "null", '{"payload": 5, "version": []}'])
async def test_an_odd_answer_is_no_traceback(fake: Fake, url: str, body: str):
    fake.body = body
    for asked in (druid(url).supervisor("a"), druid(url).tiers(), druid(url).release()):
        with pytest.raises(ConfigError, match="did not answer in JSON as a Druid does"):
            await asked
    fake.body = "[]"
    for asked_for in (druid(url).properties(), druid(url).tier_aliases()):
        with pytest.raises(ConfigError, match="did not answer in JSON as a Druid does"):
            await asked_for


@pytest.mark.parametrize(
    "location",
    [
        "http://[",
        "",
        "elsewhere",
        "http://druid..example/druid/coordinator/v1/tiers",
        f"http://{'d' * 64}.example/druid/coordinator/v1/tiers",
        "http://druid.example:65536/druid/coordinator/v1/tiers",
        "http://druid.example:port/druid/coordinator/v1/tiers",
    ],
)
async def test_a_redirect_to_no_address_is_no_traceback(fake: Fake, url: str, location: str):
    fake.status, fake.headers = 307, {"Location": location}
    with pytest.raises(TransientError):
        await druid(url).tiers()


async def test_a_redirect_leads_to_the_same_question_and_nowhere_else(fake: Fake, url: str):
    """A Druid without a login must not let this process ask anything of any host."""
    fake.body, follower = ["hot"], Fake(status=307)
    host = url.removeprefix("http://")
    async with serving(follower) as other:
        for location in (
            f"{url}/latest/meta-data/",
            f"{url}/druid/coordinator/v1/tiers?full",
            f"http://me@{host}/druid/coordinator/v1/tiers",
            f"ftp://{host}/druid/coordinator/v1/tiers",
        ):
            follower.headers["Location"] = location
            with pytest.raises(TransientError, match="not the same question"):
                await druid(other).tiers()
        assert fake.asked == []
        follower.headers["Location"] = f"{url}/druid/coordinator/v1/tiers"
        assert await druid(other).tiers() == frozenset({"hot"})


async def test_nobody_there_is_a_matter_of_trying_later():
    with pytest.raises(TransientError, match=r"GET http://127\.0\.0\.1:1/"):
        await druid("http://127.0.0.1:1").tiers()


def test_the_password_is_not_shown():
    login = DruidLogin(username="me", password="secret")
    address = DruidAddress(coordinator_urls=(), overlord_urls=(), login=login)
    assert "secret" not in repr(address)


@pytest.mark.parametrize("gone", ["http://127.0.0.1:1", "standby"])
async def test_the_second_is_asked_when_the_first_is_gone_or_knows_no_leader(
    fake: Fake, url: str, gone: str
):
    """And first from then on."""
    fake.body, idle = ["hot"], Fake(status=503, body="no leader")
    async with serving(idle) as other:
        servers = at(other if gone == "standby" else gone, url)
        assert await servers.tiers() == frozenset({"hot"})
        asked = len(idle.asked)
        assert await servers.tiers() == frozenset({"hot"})
        assert len(idle.asked) == asked


async def test_when_none_answers_each_is_named(fake: Fake, url: str):
    fake.status = 503
    with pytest.raises(TransientError, match="503"):
        await at("http://127.0.0.1:1", url).tiers()
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1/.*127\.0\.0\.1:2/"):
        await at("http://127.0.0.1:1", "http://127.0.0.1:2").tiers()


async def test_one_that_does_not_lead_names_the_leader_which_gets_the_login(fake: Fake, url: str):
    """A spec is sent whole to the leader as well."""
    fake.body, follower = {}, Fake(status=307)
    async with serving(follower) as other:
        follower.headers["Location"] = f"{url}/druid/indexer/v1/supervisor"
        login = {"username": "me", "password": "secret"}
        await at(other, url, **login).supervise(b"{}")
        assert fake.asked == [
            ("POST", "/druid/indexer/v1/supervisor", b"{}", encode_basic_auth("me", "secret"))
        ]
        with pytest.raises(ConfigError, match="which is not configured"):
            await at(other, **login).supervise(b"{}")
        assert len(fake.asked) == 1, "a password goes to nobody who is not named"
        await at(other).supervise(b"{}")
        assert fake.asked[1][3] is None


@pytest.mark.parametrize("id_", ["clicks#eu", "clicks?eu", "a%20b", "a/b", "ü b"])
async def test_a_supervisors_name_is_one_part_of_the_path(fake: Fake, url: str, id_: str):
    """Druid 37 takes them all; unquoted, another supervisor was asked."""
    fake.body = STATUS
    await druid(url).supervisor(id_)
    (path,) = fake.paths
    assert path == f"/druid/indexer/v1/supervisor/{quote(id_, safe='')}/status"
