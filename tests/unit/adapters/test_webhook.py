"""Requests to operators' addresses: what counts as arrived, and that no address is ever shown."""

import asyncio
import ssl
from pathlib import Path

import pytest

from replicator.adapters.webhook import ANSWER_SHOWN_BYTES, HttpCaller, without_address
from replicator.errors import ConfigError, ReplicatorError, TransientError
from tests.servers.certificates import Authority
from tests.servers.fake_http import Fake, serving

SECRET = "a-token-in-the-path"


def caller(url: str, *, ca_file: Path | None = None, timeout_s: float = 5) -> HttpCaller:
    return HttpCaller(lambda: f"{url}/{SECRET}", ca_file=ca_file, timeout_s=timeout_s)


async def refusal(url: str, **how) -> ReplicatorError:
    with pytest.raises((TransientError, ConfigError)) as caught:
        await caller(url, **how).post(b"{}", {})
    assert SECRET not in str(caught.value)
    assert SECRET not in caught.value.hint
    return caught.value


@pytest.mark.parametrize("status", [200, 202, 204])
async def test_what_is_accepted_has_arrived(status: int):
    fake = Fake(status=status)
    async with serving(fake) as url:
        await caller(url).post(b'{"a": 1}', {"webhook-id": "7"})
    ((method, path, body, _),) = fake.asked
    assert (method, path, body) == ("POST", f"/{SECRET}", b'{"a": 1}')
    assert fake.received[0]["webhook-id"] == "7"
    assert fake.received[0]["user-agent"] == "druid-replicator"


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
async def test_any_other_answer_may_be_another_one_later(status: int):
    async with serving(Fake(status=status, body="\x1b[31mno\n" + "x" * 10_000)) as url:
        error = await refusal(url)
    assert isinstance(error, TransientError)
    assert f"answered {status}: ␛[31mno" in str(error)
    assert len(str(error)) < ANSWER_SHOWN_BYTES + 100


@pytest.mark.parametrize("before", [0, ANSWER_SHOWN_BYTES - 30])
async def test_an_answer_that_repeats_the_address_does_not_show_it(before: int):
    """Servers say "/path was not found", and the path is often all that is secret."""
    body = "x" * before + f"The requested URL /{SECRET} was not found, {SECRET}?"
    async with serving(Fake(status=404, body=body)) as url:
        assert "The requested URL" in str(await refusal(url))


def test_every_part_of_an_address_is_left_out():
    url = "https://hooks.example/services/T0123456/a%2Fb-secret?key=s3cr3t-key&v=1"
    said = "/services/T0123456/a/b-secret T0123456 a%2Fb-secret s3cr3t-key v=1 services.example"
    assert without_address(said, url) == "… … … … v=1 ….example"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int):
    """Nobody but the configuration chooses where a signed body goes, and a secret address."""
    other = Fake()
    async with serving(other) as elsewhere:
        redirecting = Fake(status=status, headers={"Location": f"{elsewhere}/x"})
        async with serving(redirecting) as url:
            assert "redirects, which is not followed" in str(await refusal(url))
    assert other.asked == []


async def test_a_receiver_that_hangs_costs_no_longer_than_was_said():
    async with serving(Fake(delay_s=60)) as url:
        async with asyncio.timeout(5):
            error = await refusal(url, timeout_s=0.2)
    assert "did not answer within 0.2 s" in str(error)


async def test_nobody_listens(unused_tcp_port: int):
    error = await refusal(f"http://127.0.0.1:{unused_tcp_port}")
    assert isinstance(error, TransientError)
    assert f"127.0.0.1:{unused_tcp_port} cannot be reached" in str(error)


async def test_a_connection_that_is_cut_may_be_whole_later():
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        assert isinstance(await refusal(f"http://127.0.0.1:{port}"), TransientError)


async def test_only_a_certificate_that_is_believed_is_answered(tmp_path: Path):
    authority = Authority(tmp_path, "ours")
    certificate = authority.certificate("server", host="localhost")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate.file, certificate.key_file)
    fake = Fake()
    async with serving(fake, tls) as address:
        url = address.replace("127.0.0.1", "localhost")
        await caller(url, ca_file=authority.file).post(b"{}", {})
        assert len(fake.asked) == 1
        for ca_file in (None, Authority(tmp_path / "other", "other").file):
            error = await refusal(url, ca_file=ca_file)
            assert isinstance(error, ConfigError)
            assert "is not trusted" in str(error)
        assert len(fake.asked) == 1
    with pytest.raises(ConfigError, match=r"ca_file .* cannot be read"):
        await caller(url, ca_file=tmp_path / "missing").post(b"{}", {})
