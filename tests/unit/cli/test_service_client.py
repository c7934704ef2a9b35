"""A token goes to the service that was named, encrypted, and what the service says is data."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import IncompleteRead
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError

import pytest

from replicator.cli import service_client
from replicator.cli.remote import _RemoteCall
from replicator.cli.remote_looks import POINTS
from replicator.cli.service_client import ServiceClient
from replicator.errors import ConfigError, ReplicatorError

SAID = "\x1b]0;owned\x07a \u202eb\nc\n"


@contextmanager
def serving(
    status: int, location: str = "", said: bytes = b'{"stdout": "", "stderr": ""}'
) -> Iterator[tuple[str, list[str]]]:
    """Serve one answer to each request, and keep the tokens that came."""
    tokens: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            tokens.append(self.headers.get("Authorization", ""))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.end_headers()
            self.wfile.write(said)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", tokens
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_token_follows_no_redirect(status: int):
    with (
        serving(200) as (elsewhere, stolen),
        serving(status, f"{elsewhere}/v1") as (url, tokens),
        pytest.raises(ReplicatorError, match=str(status)),
    ):
        ServiceClient(url, "drt_a_secret").text("7")
    assert (tokens, stolen) == (["Bearer drt_a_secret"], [])


def test_a_token_is_not_sent_to_a_proxy_in_clear(monkeypatch: pytest.MonkeyPatch):
    with serving(200) as (proxy, stolen), serving(200) as (url, tokens):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        ServiceClient(url, "drt_a_secret").text("7")
    assert (tokens, stolen) == (["Bearer drt_a_secret"], [])


@pytest.mark.parametrize("host", ["replicator.example:9465", "10.1.2.3", "[2001:db8::1]:9465"])
def test_a_token_is_not_sent_where_everybody_on_the_way_can_read_it(host: str):
    with pytest.raises(ConfigError, match="would cross the network"):
        ServiceClient(f"http://{host}", "drt_a_secret")
    ServiceClient(f"https://{host}", "drt_a_secret")


@pytest.mark.parametrize("host", ["localhost:9465", "127.0.0.1:9465", "[::1]:9465"])
def test_on_one_machine_it_may(host: str):
    ServiceClient(f"http://{host}", "drt_a_secret")


def test_a_request_that_was_cut_off_is_sent_again_as_the_same_one(monkeypatch: pytest.MonkeyPatch):
    """The service may have taken it on: whoever typed it gets that job, and no second one."""
    keys: list[str] = []

    class Cutting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            keys.append(self.headers["Idempotency-Key"])
            if len(keys) == 1:
                return  # no answer: the connection ends
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"id": "7", "state": "done", "document": {}, "progress": null}')

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.setattr(service_client, "PAUSES_S", (0.0,))
    server = HTTPServer(("127.0.0.1", 0), Cutting)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        client = ServiceClient(f"http://127.0.0.1:{server.server_port}", "drt_a_secret")
        assert client.run("a" * 64, 80)["id"] == "7"
        client.run("a" * 64, 80)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    first, again, other = keys
    assert first == again != other


@pytest.mark.parametrize(
    "said",
    [
        b"[]",
        b'"login"',
        b'{"error": "sign in first"}',
        b"[" * 100_000,
        b'{"id": "../whoami", "state": "done"}',
        b'{"id": "7", "state": ["done"]}',
        b'{"id": "7", "state": "running", "progress": 7}',
        b"\xff",
    ],
)
def test_what_answers_in_another_form_is_named(said: bytes):
    """A proxy's own page, or another program at the port, for example."""
    with serving(200, said=said) as (url, _):
        client = ServiceClient(url, "drt_a_secret")
        for ask in (
            lambda: client.run("a" * 64, 80),
            lambda: client.text("7"),
            lambda: client.look("points", {}, POINTS),
        ):
            with pytest.raises(ReplicatorError, match=url):
                ask()


@pytest.mark.parametrize("said", [b"[]", b"7", b'{"detail": 7, "type": []}', b"[" * 100_000])
def test_a_refusal_in_another_form_is_one(said: bytes):
    with serving(403, said=said) as (url, _), pytest.raises(ReplicatorError, match="answered 403"):
        ServiceClient(url, "drt_a_secret").text("7")


def test_an_answer_of_very_many_values_is_not_even_parsed():
    said = b"[" + b"[]," * 300_000 + b"[]]"
    with serving(200, said=said) as (url, _), pytest.raises(ReplicatorError, match="values"):
        ServiceClient(url, "drt_a_secret").text("7")


def test_an_answer_without_an_end_has_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(service_client, "ANSWER_S_MAX", -1.0)
    with serving(200) as (url, _), pytest.raises(ReplicatorError, match="did not end its answer"):
        ServiceClient(url, "drt_a_secret").text("7")


def test_a_refusal_that_breaks_off_is_one(monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> bytes:
        raise IncompleteRead(b"")

    monkeypatch.setattr(HTTPError, "read", broken, raising=False)
    with serving(403) as (url, _), pytest.raises(ReplicatorError, match="answered 403"):
        ServiceClient(url, "drt_a_secret").text("7")


def test_a_login_in_the_address_is_refused_and_not_repeated():
    with pytest.raises(ConfigError) as refused:
        ServiceClient("https://me:hush@replicator.example", "drt_a_secret")
    assert "hush" not in str(refused.value)


def test_what_a_service_says_does_not_act_on_a_terminal(capsys: pytest.CaptureFixture[str]):
    class Client:
        def text(self, _: str) -> dict[str, str]:
            return {"stdout": SAID, "stderr": SAID}

    call = _RemoteCall.__new__(_RemoteCall)
    call._client = Client()  # type: ignore[assignment] # what is asked of it
    call._call = type("Call", (), {"as_json": False})()
    job = {"id": "7", "state": "done", "document": {}, "exit_code": 0, "why": ""}
    assert call._shown(job, skip="") == 0
    shown = capsys.readouterr()
    assert shown.out == shown.err == "␛]0;owned␇a \ufffdb\nc\n"
