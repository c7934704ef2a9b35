"""Real segments of a real Druid, from every deep storage to every other one, by the CLI.

The gate has each storage as a source and as a target, the long run every pair.

The segments are those of the recorded Druid 33. Before they are replicated they are brought into
the source's storage in the shapes that Druid writes there: packed, unpacked, several in one folder
(HDFS), two rows that share an object, and a tombstone.
"""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.exceptions import ClientError

from replicator import config
from replicator.adapters.s3.service import s3_service
from replicator.adapters.s3.session import s3_bucket, s3_client
from replicator.adapters.transfer.pacing import Pace
from replicator.app import Application
from replicator.cli.demo.recording import RecordedDruid, steps
from replicator.model.load_spec import Location
from replicator.ports import DeepStorage
from replicator.services.checkup import copy_trial
from tests.acceptance.test_drill import scratch
from tests.contract.storages import fresh, s3_address
from tests.lz4 import container
from tests.rings import IS_LONG, times
from tests.servers.postgresql import Postgresql, connected
from tests.servers.process import Ended, Processes
from tests.servers.process import fresh as fresh_process
from tests.servers.proxy import Stall, proxy
from tests.servers.stores import AZURE_ACCOUNT, AZURE_KEY, S3, S3_KEY, S3_SECRET, Azure, Gcs, Hdfs

__all__ = ["scratch"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("stores"),
]

ENV = {"S3_ID": S3_KEY, "S3_KEY": S3_SECRET, "AZURE_KEY": AZURE_KEY}
Files = Mapping[str, bytes]
Push = Callable[[str, Files], Awaitable[dict[str, Any]]]
"""Stores a segment's files under a folder of the recording; returns the load spec."""


@dataclass(frozen=True)
class Place:
    """A deep storage as a configuration names it, and how Druid fills it."""

    settings: dict[str, Any]
    push: Push


@dataclass(frozen=True)
class Clouds:
    folder: Path
    s3: S3
    gcs: Gcs
    azure: Azure
    hdfs: Hdfs

    def of_s3(self, *, unpacked: bool = False) -> Place:
        bucket = fresh()
        self.s3.bucket(bucket)
        store = s3_bucket(s3_service(s3_address(self.s3.url, bucket)), Pace())

        async def push(folder: str, files: Files) -> dict[str, Any]:
            key = f"druid/segments/{folder.removesuffix('index/')}"
            named = files if unpacked else {"index.zip": packed(files)}
            for name, data in named.items():
                await store.create(key + name, data)
            key += "" if unpacked else "index.zip"
            return {"type": "s3_zip", "bucket": bucket, "key": key, "S3Schema": "s3n"}

        settings = {
            "type": "s3", "bucket": bucket, "prefix": "druid/segments",
            "endpoint_url": self.s3.url, "path_style": True,
            "access_key_id_env": "S3_ID", "secret_access_key_env": "S3_KEY",
        }  # fmt: skip
        return Place(settings, push)

    def of_google(self) -> Place:
        bucket = fresh()
        self.gcs.bucket(bucket)

        async def push(folder: str, files: Files) -> dict[str, Any]:
            path = f"segments/{folder.removesuffix('index/')}index.zip"
            self.gcs.put(bucket, path, packed(files))
            return {"type": "google", "bucket": bucket, "path": path}

        settings = {
            "type": "google", "bucket": bucket, "prefix": "segments",
            "endpoint_url": self.gcs.url, "anonymous": True,
        }  # fmt: skip
        return Place(settings, push)

    def of_azure(self) -> Place:
        container = fresh()
        self.azure.container(container)

        async def push(folder: str, files: Files) -> dict[str, Any]:
            plain = folder.removesuffix("index/").replace(":", "_")
            self.azure.put(container, f"{plain}index.zip", packed(files))
            return {
                "type": "azure", "containerName": container, "blobPath": f"{plain}index.zip",
            }  # fmt: skip

        settings = {
            "type": "azure", "account": AZURE_ACCOUNT, "container": container,
            "endpoint_url": self.azure.url, "account_key_env": "AZURE_KEY",
        }  # fmt: skip
        return Place(settings, push)

    def of_hdfs(self) -> Place:
        root = f"/{fresh()}/segments"
        self.hdfs.folder(root)
        pushed = count()

        async def push(folder: str, files: Files) -> dict[str, Any]:
            datasource, interval, version, *numbers = folder.removesuffix("/index/").split("/")
            plain = "/".join([datasource, interval, version]).replace(":", "_")
            path = f"{root}/{plain}/{'_'.join(numbers)}_index"
            if next(pushed) % 2:  # as Druid 37 does where it is told to, before and after others
                path += ".lz4"
                self.hdfs.put(path, container({name.encode(): files[name] for name in files}))
            else:
                path += ".zip"
                self.hdfs.put(path, packed(files))
            return {"type": "hdfs", "path": f"{self.hdfs.filesystem}{path}"}

        settings = {
            "type": "hdfs", "urls": [self.hdfs.url], "root": root,
            "filesystem": self.hdfs.filesystem, "user": "root",
        }  # fmt: skip
        return Place(settings, push)

    def of_local(self, *, zipped: bool = False) -> Place:
        root = self.folder / fresh()
        root.mkdir()

        async def push(folder: str, files: Files) -> dict[str, Any]:
            place = root / (folder.removesuffix("index/") if zipped else folder)
            place.mkdir(parents=True)
            named = {"index.zip": packed(files)} if zipped else files
            for name, data in named.items():
                (place / name).write_bytes(data)
            return {"type": "local", "path": f"{place}/{'index.zip' if zipped else ''}"}

        return Place({"type": "local", "root": str(root)}, push)


SOURCES: dict[str, Callable[[Clouds], Place]] = {
    "local": lambda clouds: clouds.of_local(),
    "local-zip": lambda clouds: clouds.of_local(zipped=True),
    "s3": lambda clouds: clouds.of_s3(),
    "s3-unpacked": lambda clouds: clouds.of_s3(unpacked=True),
    "google": lambda clouds: clouds.of_google(),
    "azure": lambda clouds: clouds.of_azure(),
    "hdfs": lambda clouds: clouds.of_hdfs(),
}

TARGETS: dict[str, Callable[[Clouds], Place]] = {
    "local": lambda clouds: clouds.of_local(),
    "s3": lambda clouds: clouds.of_s3(),
    "google": lambda clouds: clouds.of_google(),
    "azure": lambda clouds: clouds.of_azure(),
    "hdfs": lambda clouds: clouds.of_hdfs(),
}
GATE_TARGET_OF = {
    "local": "s3", "local-zip": "google", "s3": "azure", "s3-unpacked": "local",
    "google": "hdfs", "azure": "local", "hdfs": "s3",
}  # fmt: skip
DRILLED = {"s3"} if IS_LONG else {"local"}
"""From where: to all targets, in the gate to S3."""
TARGETS_OF = {source: list(TARGETS) if IS_LONG else [GATE_TARGET_OF[source]] for source in SOURCES}


def packed(files: Files) -> bytes:
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, data in files.items():
            zipped.writestr(name, data)
    return found.getvalue()


@pytest.fixture
def clouds(tmp_path: Path, s3: S3, gcs: Gcs, azure: Azure, hdfs: Hdfs) -> Clouds:
    return Clouds(tmp_path, s3, gcs, azure, hdfs)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as found:
        yield found


async def fill(dsn: str, folder: Path, push: Push) -> dict[str, Files]:
    """Let the recorded Druid write, move its bytes into the storage; return files by row."""
    archive, root = folder / "archive", folder / "recorded"
    RecordedDruid.unpack(archive)
    root.mkdir()
    found: dict[str, Files] = {}
    async with connected(dsn) as connection:
        await RecordedDruid(connection, root=root, archive=archive).play(steps()["1-history"])
        rows = await connection.fetch("SELECT id, payload FROM druid_segments ORDER BY id")
        for row in rows:
            payload = json.loads(row["payload"])
            if payload["loadSpec"]["type"] == "tombstone":
                continue
            place = payload["loadSpec"]["path"].removeprefix(f"{root}/")
            files = {path.name: path.read_bytes() for path in sorted((root / place).iterdir())}
            payload["loadSpec"] = await push(place, files)
            await connection.execute(
                "UPDATE druid_segments SET payload = $2 WHERE id = $1",
                row["id"],
                json.dumps(payload).encode(),
            )
            found[row["id"]] = files
        shared = sorted(found)[0]
        for suffix, load_spec in (("_x", None), ("_tomb", {"type": "tombstone"})):
            found |= await again(connection, shared, suffix, load_spec, found)
    return found


async def again(
    connection: Any, id_: str, suffix: str, load_spec: object, files: Mapping[str, Files]
) -> dict[str, Files]:
    """Add a row of another version: with the same load spec, or with another one."""
    row = dict(await connection.fetchrow("SELECT * FROM druid_segments WHERE id = $1", id_))
    payload = json.loads(row["payload"])
    version = row["version"]
    row["version"] = payload["version"] = version + suffix
    row["id"] = id_.replace(version, version + suffix)
    if "identifier" in payload:
        payload["identifier"] = row["id"]
    payload["loadSpec"] = load_spec or payload["loadSpec"]
    row["payload"] = json.dumps(payload).encode()
    names = ", ".join(f'"{name}"' for name in row)
    marks = ", ".join(f"${n}" for n in range(1, len(row) + 1))
    await connection.execute(
        f"INSERT INTO druid_segments ({names}) VALUES ({marks})", *row.values()
    )
    return {} if load_spec else {row["id"]: files[id_]}


def metadata_of(dsn: str, folder: Path) -> dict[str, str]:
    login, _, rest = dsn.removeprefix("postgresql://").partition("@")
    user, _, password = login.partition(":")
    (folder / "password").write_text(password)
    url = f"postgresql://{user}@{rest}"
    return {"type": "postgresql", "url": url, "password_file": str(folder / "password")}


async def unpacked(storage: DeepStorage, location: Location) -> Files:
    """Return a segment's files as the target has them."""
    found: dict[str, bytes] = {}
    for stored in await storage.objects(location):
        pieces = [piece async for piece in storage.read(location, stored)]
        found[stored.name] = b"".join(pieces)
    if location.endswith("/"):
        return found
    zipped = zipfile.ZipFile(io.BytesIO(found[""]))
    return {name: zipped.read(name) for name in zipped.namelist()}


def test_each_storage_is_a_source_and_a_target():
    assert TARGETS_OF.keys() == SOURCES.keys()
    assert {target for targets in TARGETS_OF.values() for target in targets} == TARGETS.keys()


@pytest.mark.parametrize("source", SOURCES)
async def test_segments_from_one_storage_to_others(
    clouds: Clouds,
    postgresql: Postgresql,
    forks: Processes,
    stack: AsyncExitStack,
    tmp_path: Path,
    scratch: Path,
    source: str,
):
    origin = SOURCES[source](clouds)
    targets = {name: TARGETS[name](clouds) for name in TARGETS_OF[source]}
    dsn = await stack.enter_async_context(postgresql.database())
    files = await fill(dsn, tmp_path, origin.push)
    dsns = {name: await stack.enter_async_context(postgresql.database()) for name in targets}
    settings = {
        "source": {
            "name": "prod",
            "metadata": metadata_of(dsn, tmp_path),
            "deep_storage": origin.settings,
        },
        "log": {"type": "sqlite", "path": str(tmp_path / "log")},
        "targets": {
            name: {
                "metadata": metadata_of(dsns[name], tmp_path),
                "deep_storage": place.settings,
                "kill_wait_s": 0,
            }
            for name, place in targets.items()
        },
        "drill": {"folder": str(scratch)},
    }
    file = tmp_path / "replicator.yaml"
    file.write_text(yaml.safe_dump(settings))

    async def types(*args: str) -> dict[str, Any]:
        ended = await forks.run(*args, "--json", "--config", str(file), env=ENV)
        assert ended.code == 0, f"{args}: {ended.out}\n{ended.err}"
        return ended.result

    await types("check")
    await types("watch", "--once")
    for name in targets:
        await types("apply", name, "--once")
        proof = await types("verify", name, "--level", "checksum", "--structure")
        assert proof["good"]
        assert proof["bytes_read"] == proof["bytes"]
        assert proof["objects"] == len(files) - 1, "the shared object is there once"
        await types("apply", name, "--once")
    async with Application(config.load(file, ENV), ENV, lambda _: None) as application:
        for name in targets:
            await has_files(application, name, dsns[name], files)
    if source in DRILLED:  # what a store alone gives back does not depend on where it came from
        for name in targets:
            drilled = await types("drill", name)
            assert drilled["good"]
            assert drilled["restored"]["objects"] == len(files) - 1


async def has_files(
    application: Application, name: str, dsn: str, files: Mapping[str, Files]
) -> None:
    """Read every segment by the load spec that the target's Druid would follow."""
    target = application.target(name)
    layout = (await application.pipeline(name)).locator().target
    async with connected(dsn) as connection:
        rows = await connection.fetch("SELECT id, payload FROM druid_segments")
    specs = {row["id"]: json.loads(row["payload"])["loadSpec"] for row in rows}
    places = {id_: layout.locate(spec) for id_, spec in specs.items()}
    assert {id_ for id_, place in places.items() if place is not None} == set(files)
    assert sum(place is None for place in places.values()) >= 1, "the tombstone"
    for id_, place in places.items():
        if place is not None:
            assert await unpacked(target.storage, place) == files[id_], f"{name}: {id_}"


async def test_a_cloud_that_hangs_delays_no_other_target(
    clouds: Clouds,
    postgresql: Postgresql,
    forks: Processes,
    stack: AsyncExitStack,
    tmp_path: Path,
    s3: S3,
):
    origin, good, slow = clouds.of_local(), clouds.of_local(), clouds.of_s3()
    front = await stack.enter_async_context(proxy(s3.port))
    front.decide = lambda request: Stall() if request.method in {"PUT", "POST"} else None
    slow.settings["endpoint_url"] = front.url
    dsn = await stack.enter_async_context(postgresql.database())
    files = await fill(dsn, tmp_path, origin.push)
    targets = {}
    for name, place in (("good", good), ("slow", slow)):
        target = await stack.enter_async_context(postgresql.database())
        targets[name] = {
            "metadata": metadata_of(target, tmp_path),
            "deep_storage": place.settings,
            "apply_interval_s": 0.1,
        }
    settings = {
        "source": {
            "name": "prod",
            "metadata": metadata_of(dsn, tmp_path),
            "deep_storage": origin.settings,
        },
        "log": {"type": "sqlite", "path": str(tmp_path / "log")},
        "watch": {"poll_interval_s": 0.2, "idle_cut_interval_s": 1},
        "targets": targets,
    }
    file = tmp_path / "replicator.yaml"
    file.write_text(yaml.safe_dump(settings))

    async def states() -> dict[str, Any]:
        status = await forks.run("status", "--json", "--config", str(file), env=ENV)
        return {target["target"]: target for target in status.result["targets"]}

    running = await forks.start("run", "--config", str(file), env=ENV)
    async with asyncio.timeout(60):
        while not (await states())["good"]["cut"]:
            await asyncio.sleep(0.2)
        first = (await states())["good"]["cut"]
        async with connected(dsn) as connection:
            await again(connection, sorted(files)[1], "_later", None, files)
        while (await states())["good"]["cut"] <= first:
            await asyncio.sleep(0.2)
    found = await states()
    assert found["slow"]["cut"] is None
    assert running.is_running
    front.decide = lambda _: None
    await running.kill()
    for args in (("apply", "slow", "--once"), ("verify", "slow", "--level", "checksum")):
        ended = await forks.run(*args, "--config", str(file), env=ENV)
        assert ended.code == 0, ended.err


async def test_commands_that_used_a_cloud_end_with_their_own_code(clouds: Clouds, tmp_path: Path):
    """obstore's threads can abort a process whose interpreter is taking itself apart."""
    place = clouds.of_s3()
    settings = {
        "source": {
            "name": "prod",
            "metadata": {"type": "postgresql", "url": "postgresql://nobody@127.0.0.1:1/none"},
            "deep_storage": place.settings,
        },
        "log": {"type": "sqlite", "path": str(tmp_path / "log")},
        "targets": {
            "standby": {
                "metadata": {"type": "postgresql", "url": "postgresql://n@127.0.0.1:1/other"},
                "deep_storage": clouds.of_s3().settings,
            }
        },
    }
    file = tmp_path / "replicator.yaml"
    file.write_text(yaml.safe_dump(settings))
    for _ in range(times(2, 12)):
        ended = await fresh_process("check", "--json", "--config", str(file), env=ENV)
        assert ended.code == 1, f"{ended.code}: {ended.out}{ended.err}"
        findings = ended.result["findings"]
        probed = [row for row in findings if row["what"] == "target standby deep storage"]
        assert probed
        assert all(row["good"] for row in probed)


async def test_a_locked_target(
    clouds: Clouds,
    postgresql: Postgresql,
    forks: Processes,
    stack: AsyncExitStack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    """`check` wants a bucket with object lock; what is applied to it cannot be removed."""
    origin, dsn = clouds.of_local(), await stack.enter_async_context(postgresql.database())
    await fill(dsn, tmp_path, origin.push)
    bucket = fresh()
    target = {
        "type": "s3", "bucket": bucket, "prefix": "druid/segments",
        "endpoint_url": clouds.s3.url, "path_style": True,
        "access_key_id_env": "S3_ID", "secret_access_key_env": "S3_KEY",
        "object_lock": {"mode": "governance"},
    }  # fmt: skip
    settings = {
        "source": {
            "name": "prod",
            "metadata": metadata_of(dsn, tmp_path),
            "deep_storage": origin.settings,
        },
        "log": {"type": "sqlite", "path": str(tmp_path / "log")},
        "targets": {
            "standby": {
                "metadata": metadata_of(
                    await stack.enter_async_context(postgresql.database()), tmp_path
                ),
                "deep_storage": target,
                "retention": "30d",
            },
        },
    }
    file = tmp_path / "replicator.yaml"

    async def run(*args: str) -> Ended:
        file.write_text(yaml.safe_dump(settings))
        return await forks.run(*args, "--json", "--config", str(file), env=ENV)

    async with s3_client(s3_service(s3_address(clouds.s3.url, bucket))) as client:
        await client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        await client.create_bucket(Bucket=f"{bucket}-plain")
        target["bucket"] = f"{bucket}-plain"
        checked = await run("check")
        assert checked.code == 1
        assert "has no object lock" in checked.out
        target["bucket"] = bucket
        file.write_text(yaml.safe_dump(settings))
        async with asyncio.TaskGroup() as group:
            group.create_task(may_be_copied_to(file, monkeypatch))  # it waits for its lock's end
            for args in (
                ("watch", "--once"), ("apply", "standby", "--once"),
                ("verify", "standby", "--level", "checksum"),
            ):  # fmt: skip
                ended = await run(*args)
                assert ended.code == 0, f"{args}: {ended.out}{ended.err}"
        versions = (await client.list_object_versions(Bucket=bucket))["Versions"]
        segments = [one for one in versions if "/_replicator/" not in one["Key"]]
        assert segments
        for one in segments:
            with pytest.raises(ClientError, match="AccessDenied"):
                await client.delete_object(
                    Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"]
                )
        ended = await run("lock", "standby", "--set", "targets.standby.retention=60d")
        assert ended.code == 0, f"{ended.out}{ended.err}"
        assert (ended.result["locations"], ended.result["missing"]) == (len(segments), [])
        until = datetime.fromisoformat(ended.result["locked_until"])
        for one in versions:
            if "/_replicator/" in one["Key"] and not {"history", "bases"} & set(
                one["Key"].split("/")
            ):
                continue
            head = await client.head_object(Bucket=bucket, Key=one["Key"])
            assert abs(head["ObjectLockRetainUntilDate"] - until) < timedelta(seconds=2), one["Key"]
        target.pop("object_lock")
        refused = await run("lock", "standby")
        assert refused.code == 2
        assert "has no `object_lock`" in refused.err + refused.out


async def may_be_copied_to(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do what `check` does with a segment's bytes, which are locked for a shorter time here."""
    monkeypatch.setattr(copy_trial, "LOCKED_FOR", timedelta(seconds=12))
    monkeypatch.setattr(copy_trial, "UNLOCK_MARGIN_S", 1.0)
    async with Application(config.load(file, ENV), ENV, lambda _: None) as application:
        found = await application.checkup().copies(application.copy_trial("standby"))
    assert found
    assert all(one.good for one in found), found
    assert any("locked for 12 s" in one.detail for one in found)
