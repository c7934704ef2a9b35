"""A first configuration: what is answered is what the file says, and no password is in it."""

from pathlib import Path
from typing import Any

import pytest

from replicator.config import load
from replicator.config.file.starter import Part, Starter, log_of, login_of, storage_of
from replicator.errors import ConfigError

STORAGES: dict[str, Part] = {
    "/mnt/druid/segments": {"type": "local", "root": "/mnt/druid/segments"},
    "/mnt/a%20b": {"type": "local", "root": "/mnt/a%20b"},
    "/mnt/druid?root_in_load_spec=/druid": {
        "type": "local", "root": "/mnt/druid", "root_in_load_spec": "/druid",
    },
    "s3://bucket": {"type": "s3", "bucket": "bucket"},
    "s3://bucket/druid/segments/?region=eu-central-1&path_style=true": {
        "type": "s3", "bucket": "bucket", "prefix": "druid/segments",
        "region": "eu-central-1", "path_style": True,
    },
    "gs://bucket/druid": {"type": "google", "bucket": "bucket", "prefix": "druid"},
    "azure://account/container/druid/segments": {
        "type": "azure", "account": "account", "container": "container",
        "prefix": "druid/segments",
    },
    "hdfs://nameservice/druid?urls=http://nn1:9870": {
        "type": "hdfs", "filesystem": "hdfs://nameservice", "root": "/druid",
        "urls": ["http://nn1:9870"],
    },
    "hdfs://namenode:8020/druid": {
        "type": "hdfs", "filesystem": "hdfs://namenode:8020", "root": "/druid",
        "urls": ["http://namenode:9870"],
    },
}  # fmt: skip
LOGS: dict[str, Part] = {
    "/var/lib/druid-replicator/prod.log": {
        "type": "sqlite", "path": "/var/lib/druid-replicator/prod.log",
    },
    "kafka://b1:9092,b2:9092": {"type": "kafka", "bootstrap_servers": ["b1:9092", "b2:9092"]},
    "kafka://b1:9092/dr?tls={ca_file: /ca.pem}": {
        "type": "kafka", "bootstrap_servers": ["b1:9092"], "topic_prefix": "dr",
        "tls": {"ca_file": "/ca.pem"},
    },
}  # fmt: skip


def starter(**changed: Any) -> Starter:
    found: dict[str, Any] = {
        "source_name": "prod",
        "target_name": "standby",
        "source_metadata": login_of("postgresql://replicator@db1/druid").part,
        "source_storage": storage_of("/mnt/druid"),
        "log": log_of("/var/lib/prod.log"),
        "target_metadata": login_of("mysql://druid@db2/druid").part,
        "target_storage": storage_of("s3://standby/druid"),
    }
    return Starter(**found | changed)


def written(found: Starter, folder: Path) -> Path:
    path = folder / "replicator.yaml"
    path.write_text(found.text())
    return path


@pytest.mark.parametrize("answer", STORAGES)
def test_a_storage_is_said_by_one_line(answer: str, tmp_path: Path):
    assert storage_of(answer) == STORAGES[answer]
    found = starter(source_storage=storage_of(answer))
    assert load(written(found, tmp_path), {}) == found.settings()


@pytest.mark.parametrize("answer", LOGS)
def test_a_log_is_said_by_one_line(answer: str, tmp_path: Path):
    assert log_of(answer) == LOGS[answer]
    found = starter(log=log_of(answer))
    assert load(written(found, tmp_path), {}) == found.settings()


@pytest.mark.parametrize("name", ["yes", "1e3", "prod", "0x10", "007", "a.b", "null"])
def test_a_name_that_yaml_reads_as_something_else_stays_a_name(name: str, tmp_path: Path):
    found = starter(source_name=name)
    assert load(written(found, tmp_path), {}).watched.name == name


def test_an_archive_has_no_metadata_and_a_druid_is_named(tmp_path: Path):
    found = starter(target_name="vault", target_metadata=None)
    assert load(written(found, tmp_path), {}).targets["vault"].metadata is None
    found = starter(target_druid="http://coordinator:8081")
    druid = load(written(found, tmp_path), {}).targets["standby"].druid
    assert druid is not None
    assert druid.coordinator_url == ("http://coordinator:8081",)


def test_a_password_in_a_url_is_taken_out():
    login = login_of("postgres://druid:s%40cret:x@db1:5433/druid?sslmode=require")
    assert login.part == {
        "type": "postgresql", "url": "postgresql://druid@db1:5433/druid?sslmode=require"
    }  # fmt: skip
    assert login.password == "s@cret:x"


@pytest.mark.parametrize(
    "answer", ["db1/druid", "oracle://x:s3cret@y/z", "postgresql://[x:s3cret@y/z", "ftp://a/b"]
)
def test_what_is_no_place_is_refused_without_its_password(answer: str):
    for read in (login_of, storage_of, log_of):
        with pytest.raises(ConfigError) as caught:
            read(answer)
        assert "s3cret" not in f"{caught.value}{caught.value.hint}"


def test_a_druid_on_mysql_needs_no_more_than_twenty_lines():
    """Two clusters in S3, with a password each; comments that are lines of their own aside."""
    storage = "s3://{}-druid/druid/segments?region=eu-central-1"
    text = starter(
        source_metadata={
            **login_of("mysql://replicator@db.east.example:3306/druid").part,
            "password_env": "EAST_PASSWORD",
        },
        target_metadata={
            **login_of("mysql://replicator@db.west.example:3306/druid").part,
            "password_env": "WEST_PASSWORD",
        },
        source_storage=storage_of(storage.format("east")),
        target_storage=storage_of(storage.format("west")),
        log=log_of("/var/lib/druid-replicator/east.log"),
    ).text()
    lines = [line for line in text.splitlines() if line.partition("#")[0].strip()]
    assert len(lines) <= 20, text
