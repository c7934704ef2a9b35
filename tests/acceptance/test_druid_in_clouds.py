"""Real Druids 33 with the Azure and HDFS extensions of 29: each reads what is stored for it there.

The extensions of 33 are not on Maven Central.
"""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random
from socket import gethostname

import pytest

from tests.acceptance.acts import Acts, Stream
from tests.acceptance.druids import Stored, User, cluster, write_config
from tests.servers.certificates import Authority
from tests.servers.druid import DRUID_33_CLOUDS
from tests.servers.kafka import Kafka
from tests.servers.postgresql import Postgresql
from tests.servers.process import Processes
from tests.servers.server import free_ports
from tests.servers.stores import AZURE_ACCOUNT, AZURE_KEY, Azure, Hdfs

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("jvms"),
]
HOST = f"{AZURE_ACCOUNT}.blob.localhost"
"""Druid asks for an account by its host, and by TLS only."""
PASSWORD = "changeit"


@pytest.mark.parametrize("from_azure", [True, False], ids=["azure to hdfs", "hdfs to azure"])
async def test_druids_read_each_others_segments(
    postgresql: Postgresql,
    azure: Azure,
    hdfs: Hdfs,
    druid_folder: Path,
    forks: Processes,
    from_azure: bool,
):
    folder = druid_folder
    name = folder.name.replace("_", "-").lower()
    release = DRUID_33_CLOUDS
    async with azure_by_tls(azure, folder / "tls") as port:
        places = [in_azure(azure, f"c{name}", port, folder / "tls"), in_hdfs(hdfs, f"/{name}")]
        there, here = places if from_azure else reversed(places)
        async with (
            cluster("source", folder, postgresql, stored=there, release=release) as source,
            cluster(
                "standby", folder, postgresql, stored=here, release=release, standby=True
            ) as to,
        ):
            log = {"type": "sqlite", "path": str(folder / "log")}
            user = User(await write_config(folder, source, {"standby": to}, log), forks, source, to)
            await user.does("check")
            running = await user.starts("run")
            acts = Acts(source.client, Random(5), Stream(Kafka.__new__(Kafka), "none"))
            for act in (acts.ingest, acts.append, acts.overwrite_a_part, acts.kill):
                await act()
                await user.standby_is(await user.moment(act.__name__))
            ended = await running.terminate()
            assert ended.code == 0, ended.err
            await user.does("verify", "standby", "--level", "checksum")


def in_hdfs(server: Hdfs, root: str) -> Stored:
    server.folder(root)
    settings = {
        "type": "hdfs", "urls": [server.url], "filesystem": server.filesystem, "root": root,
        "user": server.user,
    }  # fmt: skip
    properties = {
        "druid.storage.type": "hdfs",
        "druid.storage.storageDirectory": f"{server.filesystem}{root}",
    }
    return Stored(settings, properties)


def in_azure(server: Azure, container: str, port: int, tls: Path) -> Stored:
    server.container(container)
    settings = {
        "type": "azure", "account": AZURE_ACCOUNT, "container": container,
        "endpoint_url": server.url, "account_key_env": "AZURE_KEY",
    }  # fmt: skip
    properties = {
        "druid.storage.type": "azure",
        "druid.azure.account": AZURE_ACCOUNT,
        "druid.azure.key": AZURE_KEY,
        "druid.azure.container": container,
        "druid.azure.endpointSuffix": f"localhost:{port}",
    }
    java = (
        f"-Djdk.net.hosts.file={tls / 'hosts'}",
        f"-Djavax.net.ssl.trustStore={tls / 'trusted'}",
        f"-Djavax.net.ssl.trustStorePassword={PASSWORD}",
    )
    return Stored(settings, properties, java)


@asynccontextmanager
async def azure_by_tls(server: Azure, folder: Path) -> AsyncIterator[int]:
    """Take TLS off what goes to an Azurite, and leave in the folder what a JVM needs to ask so."""
    authority = Authority(folder, "authority")
    shown = authority.certificate("azure", host=HOST)
    (folder / "hosts").write_text(f"127.0.0.1 {HOST} localhost {gethostname()}\n")
    await asyncio.to_thread(
        subprocess.run,
        [
            *("keytool", "-importcert", "-noprompt", "-alias", "authority"),
            *("-file", str(authority.file), "-keystore", str(folder / "trusted")),
            *("-storepass", PASSWORD),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.file, shown.key_file)
    (port,) = free_ports(1)
    relay = await asyncio.start_server(partial(_relay, server.port), "127.0.0.1", port, ssl=context)
    async with relay:
        yield port


async def _relay(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    behind = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pass_on(reader, behind[1]))
            group.create_task(_pass_on(behind[0], writer))
    except* OSError:
        pass  # a client that left
    finally:
        behind[1].close()
        writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()
