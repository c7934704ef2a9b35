"""Servers are believed alike by every Python that the program runs on."""

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from replicator.adapters.tls import trusting
from tests.servers.certificates import Authority


@pytest.fixture
def as_since_313(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Python demand what RFC 5280 does, as it does by itself from 3.13 on."""
    made = ssl.create_default_context

    def strict(*args: object, make: Callable[..., ssl.SSLContext], **named: object):
        context = make(*args, **named)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", partial(strict, make=made))


def shake(client: ssl.SSLContext, authority: Authority, *, name: str = "localhost") -> None:
    """Let both sides speak to one another in memory until they agree."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours = authority.certificate(name, host=name)
    server.load_cert_chain(ours.file, ours.key_file)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(back, there, server_hostname="localhost"),
        server.wrap_bio(there, back, server_side=True),
    ]
    waiting = sides
    while waiting:
        waiting = [one for one in waiting if not agreed(one)]


def agreed(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


@pytest.mark.usefixtures("as_since_313")
def test_an_authority_that_is_named_is_believed_without_what_rfc_5280_wants(tmp_path: Path):
    """Its certificates lack an Authority Key Identifier, as those of many companies do."""
    own = Authority(tmp_path, "own")

    shake(trusting(own.file), own)

    with pytest.raises(ssl.SSLCertVerificationError, match="Missing Authority Key Identifier"):
        shake(ssl.create_default_context(cafile=own.file), own)


@pytest.mark.usefixtures("as_since_313")
def test_nobody_else_and_no_other_name_is_believed(tmp_path: Path):
    own, other = Authority(tmp_path / "own", "own"), Authority(tmp_path / "other", "other")

    with pytest.raises(ssl.SSLCertVerificationError, match="unable to get local issuer"):
        shake(trusting(own.file), other)
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        shake(trusting(own.file), own, name="elsewhere")


@pytest.mark.usefixtures("as_since_313")
def test_the_systems_authorities_are_held_to_what_python_demands():
    assert trusting(None).verify_flags & ssl.VERIFY_X509_STRICT
