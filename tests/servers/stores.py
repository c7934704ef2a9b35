"""Object stores and a file system that speak the clouds' protocols, each a process of its own."""

import base64
import hashlib
import hmac
import os
import socket
import urllib.request
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

import orjson

from tests.servers import fetching
from tests.servers.server import Jvm, Server, free_ports

S3_KEY, S3_SECRET = "testtest", "testsecret"
S3_ACCOUNTS = ("source", "target")
"""They may do what a bucket's policy allows them."""
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)
"""Azurite's own, in its documentation."""
START_MAX_S = 180.0


class S3:
    """versitygw: the S3 protocol over a folder, so a bucket can be looked into."""

    def __init__(self, folder: Path) -> None:
        program = fetching.go_program("versitygw")
        self.root, versions, iam = folder / "buckets", folder / "versions", folder / "iam"
        self.root.mkdir(parents=True)
        versions.mkdir()
        iam.mkdir()
        accounts = {
            name: {"access": name, "secret": S3_SECRET, "role": "user"} for name in S3_ACCOUNTS
        }
        (iam / "users.json").write_bytes(orjson.dumps({"accessAccounts": accounts}))
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = Server(
            [
                *(str(program), "--quiet", "--access", S3_KEY, "--secret", S3_SECRET),
                *("--port", f"127.0.0.1:{self.port}", "--keep-alive"),
                *("--iam-dir", str(iam), "posix"),
                *("--versioning-dir", str(versions), str(self.root)),
            ],
            folder / "s3.log",
        )

    def start(self) -> None:
        self.server.start(lambda: listens(self.port), within_s=START_MAX_S)

    def bucket(self, name: str) -> Path:
        """Make a bucket; return its folder."""
        (self.root / name).mkdir()
        return self.root / name


class Gcs:
    """fake-gcs-server: the JSON API of Google Cloud Storage."""

    def __init__(self, folder: Path) -> None:
        program = fetching.go_program("fake-gcs-server")
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.server = Server(
            [
                *(str(program), "-scheme", "http", "-host", "127.0.0.1"),
                *("-port", str(self.port), "-public-host", f"127.0.0.1:{self.port}"),
                *("-external-url", self.url, "-backend", "memory"),
            ],
            folder / "gcs.log",
        )

    def start(self) -> None:
        self.server.start(lambda: listens(self.port), within_s=START_MAX_S)

    def bucket(self, name: str) -> None:
        body = orjson.dumps({"name": name})
        headers = {"Content-Type": "application/json"}
        ask("POST", f"{self.url}/storage/v1/b?project=test", body, headers)

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Write as somebody else would."""
        url = (
            f"{self.url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(key, safe='')}"
        )
        ask("POST", url, data, {"Content-Type": "application/octet-stream"})


class Azure:
    """Azurite: the protocol of Azure Blob storage."""

    def __init__(self, folder: Path) -> None:
        program = fetching.azurite()
        folder.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}/{AZURE_ACCOUNT}"
        self.server = Server(
            [
                *(str(program), "--silent", "--skipApiVersionCheck", "--disableTelemetry"),
                *("--blobHost", "127.0.0.1", "--blobPort", str(self.port)),
                *("--location", str(folder)),
            ],
            folder / "azure.log",
        )

    def start(self) -> None:
        self.server.start(lambda: listens(self.port), within_s=START_MAX_S)

    def container(self, name: str) -> None:
        self._ask(name, {}, b"", {"restype": "container"})

    def put(self, container: str, key: str, data: bytes) -> None:
        """Write as somebody else would."""
        self._ask(f"{container}/{quote(key)}", {"x-ms-blob-type": "BlockBlob"}, data, {})

    def _ask(
        self, path: str, headers: Mapping[str, str], data: bytes, params: Mapping[str, str]
    ) -> None:
        ours = {
            **headers,
            "x-ms-date": formatdate(usegmt=True),
            "x-ms-version": "2021-12-02",
        }
        names = "".join(f"{name}:{ours[name]}\n" for name in sorted(ours))
        resource = f"/{AZURE_ACCOUNT}/{AZURE_ACCOUNT}/{path}"
        resource += "".join(f"\n{name}:{params[name]}" for name in sorted(params))
        length = str(len(data)) if data else ""
        type_ = "application/octet-stream"
        text = f"PUT\n\n\n{length}\n\n{type_}\n\n\n\n\n\n\n{names}{resource}"
        mac = hmac.new(base64.b64decode(AZURE_KEY), text.encode(), hashlib.sha256).digest()
        signature = base64.b64encode(mac).decode()
        query = "&".join(f"{name}={value}" for name, value in params.items())
        ask(
            "PUT",
            f"{self.url}/{path}{'?' + query if query else ''}",
            data,
            {
                **ours,
                "Content-Type": type_,
                "Authorization": f"SharedKey {AZURE_ACCOUNT}:{signature}",
            },
        )


class Hdfs:
    """Hadoop's HDFS: a name node and a data node in one JVM."""

    def __init__(self, folder: Path) -> None:
        home = fetching.home("hdfs", sources="minihdfs")
        folder.mkdir(parents=True, exist_ok=True)
        rpc, self.port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self.filesystem = f"hdfs://127.0.0.1:{rpc}"
        self.user = os.environ.get("USER") or "root"
        self.server = Jvm(
            fetching.class_path(home),
            home,
            [
                *("-Xmx384m", f"-Djava.io.tmpdir={folder}"),
                *("minihdfs.MiniHdfs", str(folder / "dfs"), str(rpc), str(self.port)),
            ],
            folder / "hdfs.log",
        )

    def start(self) -> None:
        self.server.start(
            lambda: "READY" in self.server.log.read_text(errors="replace"), within_s=START_MAX_S
        )

    def folder(self, path: str) -> None:
        ask("PUT", f"{self.url}/webhdfs/v1{path}?op=MKDIRS&user.name=root", b"", {})

    def put(self, path: str, data: bytes) -> None:
        """Write as somebody else would."""
        url = f"{self.url}/webhdfs/v1{quote(path)}?op=CREATE&user.name=root&overwrite=true"
        found = orjson.loads(ask("PUT", f"{url}&noredirect=true", b"", {}))
        ask("PUT", found["Location"], data, {"Content-Type": "application/octet-stream"})


def ask(method: str, url: str, data: bytes, headers: Mapping[str, str]) -> bytes:
    """Send one request; an error shows the server's own words."""
    request = urllib.request.Request(url, data, dict(headers), method=method)  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - ours
            found: bytes = response.read()
            return found
    except HTTPError as exc:
        raise AssertionError(f"{method} {url}: {exc.code} {exc.read()!r}") from exc


def listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
