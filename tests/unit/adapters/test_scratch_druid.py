"""A Druid of our own: refused where there is none, and its last words told when it does not start.

That a real one starts and reads is seen in tests/acceptance/test_drill_druid.py.
"""

from pathlib import Path

import pytest

from replicator.adapters.scratch import druid as scratch_druid
from replicator.adapters.scratch.druid import Distribution, ScratchProcesses
from replicator.errors import ConfigError, TransientError

DSN = "postgresql://druid:secret@127.0.0.1:1/postgres"


def distribution(folder: Path, *, java: str = "/bin/sh", **other: object) -> Distribution:
    (folder / "home" / "lib").mkdir(parents=True, exist_ok=True)
    (folder / "home" / "lib" / "druid-services-33.0.0.jar").touch()
    found: dict[str, object] = {
        "home": folder / "home",
        "java": java,
        "extensions": ("druid-datasketches",),
        "heap_bytes_max": 1 << 28,
        "disk_bytes_max": 1 << 33,
        "start_timeout_s": 0.5,
        "query_timeout_s": 5.0,
    }
    return Distribution(**(found | other))  # type: ignore[arg-type]


def druid(folder: Path, found: Distribution) -> ScratchProcesses:
    return ScratchProcesses(found, folder / "druid", dsn=DSN, deep_storage=folder / "segments")


@pytest.fixture
def _no_orders(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(_: ScratchProcesses) -> None:
        pass

    monkeypatch.setattr(ScratchProcesses, "_take_orders_out", nothing)


def java(folder: Path, script: str) -> str:
    found = folder / "java"
    found.write_text(f"#!/bin/sh\n{script}\n")
    found.chmod(0o755)
    return str(found)


def test_the_release_is_that_of_the_jars(tmp_path: Path):
    assert druid(tmp_path, distribution(tmp_path)).release == "33.0.0"


def test_a_folder_without_a_druid_is_refused_by_name(tmp_path: Path):
    found = distribution(tmp_path, home=tmp_path)
    with pytest.raises(ConfigError, match=rf"{tmp_path}.*druid-services"):
        _ = found.release


def test_a_java_that_is_not_there_is_refused_by_name(tmp_path: Path):
    with pytest.raises(ConfigError, match="no-such-java"):
        _ = distribution(tmp_path, java="no-such-java").release


OLD_JAVA = """echo 'openjdk version "17.0.9" 2023-10-17' >&2"""
NEW_JAVA = """echo 'openjdk version "21" 2023-09-19' >&2"""


@pytest.mark.parametrize(
    ("release", "script", "fits"),
    [
        ("37.0.0", OLD_JAVA, True),
        ("38.0.0", OLD_JAVA, False),
        ("38.0.0", NEW_JAVA, True),
        ("38.0.1", """echo 'java version "1.8.0_392"' >&2""", False),
        ("38.0.0", "echo something else", True),
    ],
)
def test_a_java_that_the_release_does_not_run_on_is_refused(
    tmp_path: Path, release: str, script: str, *, fits: bool
):
    """Before it was found out by a drill that had restored everything."""
    found = distribution(tmp_path, java=java(tmp_path, script))
    lib = tmp_path / "home" / "lib"
    (lib / "druid-services-33.0.0.jar").rename(lib / f"druid-services-{release}.jar")
    if fits:
        assert found.release == release
        return
    with pytest.raises(ConfigError, match=rf"Druid {release} needs 21"):
        _ = found.release


@pytest.mark.usefixtures("_no_orders")
async def test_a_server_that_ends_is_told_with_its_last_words(tmp_path: Path):
    script = 'case "$*" in *historical*) echo "no such option"; exit 3;; esac; exec sleep 60'
    found = distribution(tmp_path, java=java(tmp_path, script), start_timeout_s=20)
    with pytest.raises(TransientError, match=r"ended with 3.*\nhistorical:\nno such option"):
        async with druid(tmp_path, found).running():
            pass


@pytest.mark.usefixtures("_no_orders")
async def test_servers_that_say_nothing_are_given_up(tmp_path: Path):
    found = distribution(tmp_path, java=java(tmp_path, "echo still starting; exec sleep 60"))
    with pytest.raises(TransientError, match=r"not healthy after 0\.5 s") as caught:
        async with druid(tmp_path, found).running():
            pass
    assert str(caught.value).count("still starting") == 4


@pytest.mark.usefixtures("_no_orders")
async def test_properties_of_the_cluster_are_taken_but_for_where_things_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(scratch_druid, "_is_healthy", healthy)
    wanted = (
        "druid.generic.useDefaultValueForNull=true",
        "druid.metadata.storage.connector.password=of production",
        r"druid.path=C:\druid",
    )
    found = distribution(tmp_path, java=java(tmp_path, "exec sleep 60"), properties=wanted)
    async with druid(tmp_path, found).running():
        common = tmp_path / "druid" / "common" / "common.runtime.properties"
        lines = common.read_text().splitlines()
        assert common.stat().st_mode & 0o077 == 0
    assert "druid.generic.useDefaultValueForNull=true" in lines
    assert r"druid.path=C:\\druid" in lines
    assert [line for line in lines if "password" in line] == [
        "druid.metadata.storage.connector.password=secret"
    ]
    assert 'druid.extensions.loadList=["postgresql-metadata-storage","druid-datasketches"]' in lines


async def healthy(_: int) -> bool:
    return True
