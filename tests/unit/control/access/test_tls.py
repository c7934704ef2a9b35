"""The port is encrypted, follows its certificate, and knows its clients by theirs."""

import shutil
import ssl
from pathlib import Path

import aiohttp

from replicator.adapters.tls import trusting
from replicator.model.operations.access import Role
from tests.servers.certificates import Authority
from tests.unit.control.stage import Served, served


def settings(folder: Path, authority: Authority) -> dict[str, object]:
    server = authority.certificate("service", host="localhost")
    shutil.copy(server.file, folder / "tls.crt")
    shutil.copy(server.key_file, folder / "tls.key")
    return {
        "web.control.tls": {
            "certificate_file": str(folder / "tls.crt"),
            "key_file": str(folder / "tls.key"),
            "client_ca_file": str(authority.file),
        },
        "web.control.clients": {"deployer": {"role": "operator", "targets": ["standby"]}},
    }


async def whoami(stage: Served, context: ssl.SSLContext, token: str = "") -> tuple[int, object]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = stage.control.url.replace("127.0.0.1", "localhost") + "/v1/whoami"
    connector = aiohttp.TCPConnector(ssl=context)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, headers=headers) as answer,
    ):
        assert "Strict-Transport-Security" in answer.headers
        return answer.status, await answer.json(content_type=None)


async def test_a_certificate_is_as_good_as_a_token_for_whoever_is_configured(tmp_path: Path):
    authority, strangers = Authority(tmp_path / "ca", "ca"), Authority(tmp_path / "other", "other")
    async with served(tmp_path, more=settings(tmp_path, authority)) as stage:
        assert stage.control.url.startswith("https://")
        plain = trusting(authority.file)
        assert (await whoami(stage, plain))[0] == 401
        assert (await whoami(stage, plain, await stage.token(Role.VIEWER)))[0] == 200
        for name, status in (("deployer", 200), ("somebody", 401)):
            client = authority.certificate(name)
            context = trusting(authority.file)
            context.load_cert_chain(client.file, client.key_file)
            found, who = await whoami(stage, context)
            assert found == status, who
            if status == 200:
                assert who == {
                    "name": "certificate deployer",
                    "role": "operator",
                    "targets": ["standby"],
                }
        forged = strangers.certificate("deployer")
        context = trusting(authority.file)
        context.load_cert_chain(forged.file, forged.key_file)
        try:
            status, _ = await whoami(stage, context)
        except aiohttp.ClientError:
            status = 0  # the handshake itself is refused
        assert status in {0, 401}


async def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(tmp_path: Path):
    old, new = Authority(tmp_path / "old", "old"), Authority(tmp_path / "new", "new")
    async with served(tmp_path, more=settings(tmp_path, old)) as stage:
        token = await stage.token(Role.VIEWER)
        certificates = stage.control._certificates
        assert certificates is not None
        (tmp_path / "tls.crt").write_text("broken")
        certificates.look()
        assert (await whoami(stage, trusting(old.file), token))[0] == 200
        renewed = new.certificate("service", host="localhost")
        shutil.copy(renewed.file, tmp_path / "tls.crt")  # its key comes a moment later
        certificates.look()
        assert (await whoami(stage, trusting(old.file), token))[0] == 200
        shutil.copy(renewed.key_file, tmp_path / "tls.key")
        shutil.copy(renewed.file, tmp_path / "tls.crt")
        certificates.look()
        assert (await whoami(stage, trusting(new.file), token))[0] == 200
