"""Which servers are asked through the environment's proxy."""

import aiohttp
import pytest

from replicator.adapters.druid.request import DruidLogin, send
from replicator.adapters.transfer.http_proxy import proxy_for
from replicator.errors import ConfigError
from tests.servers.recorder import recorder

PROXY = "http://proxy.test:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize(
    ("url", "no_proxy", "through"),
    [
        ("http://s3.test/x", "", True),
        ("http://s3.test/x", "s3.test", False),
        ("http://s3.test/x", ".test", False),
        ("http://s3.test/x", "other.example, test", False),
        ("http://s3.test:9000/x", "s3.test:9000", False),
        ("http://s3.test:9001/x", "s3.test:9000", True),
        ("http://nos3.test/x", "s3.test", True),
        ("http://s3.test/x", "*", False),
        ("http://10.1.2.3/x", "10.0.0.0/8", False),
        ("http://11.1.2.3/x", "10.0.0.0/8", True),
        ("http://127.0.0.1:9000/x", "", False),
        ("http://localhost/x", "", False),
        ("http://169.254.169.254/x", "", False),
        ("http://[fd00:ec2::254]/x", "", False),
        ("http://metadata.google.internal/x", "", False),
        ("http://standby.localhost/x", "", False),
        ("https://s3.test/x", "", False),
    ],
)
def test_who_is_asked_through_it(
    monkeypatch: pytest.MonkeyPatch, url: str, no_proxy: str, *, through: bool
):
    monkeypatch.setenv("HTTP_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", no_proxy)
    assert proxy_for(url) == (PROXY if through else None)


def test_a_proxy_for_all_and_one_without_a_scheme(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", "proxy.test:3128")
    assert proxy_for("https://s3.test") == PROXY
    monkeypatch.setenv("HTTPS_PROXY", "http://other.test:1")
    assert proxy_for("https://s3.test") == "http://other.test:1"


def test_a_proxy_of_another_kind_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://user:secret@proxy.test:1080")
    with pytest.raises(ConfigError, match=r"s3[.]test") as refused:
        proxy_for("https://s3.test")
    assert "secret" not in f"{refused.value}{refused.value.hint}"


async def test_a_druid_is_asked_through_it(monkeypatch: pytest.MonkeyPatch):
    async with recorder() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        url = "http://coordinator.test:8081/status"
        async with send(DruidLogin(), "GET", url, timeout_s=10) as answer:
            assert isinstance(answer, aiohttp.ClientResponse)
        assert proxy.hosts == {"coordinator.test:8081"}
