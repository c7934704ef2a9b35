"""Drills whose restored segments a real Druid loads and reads."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from replicator.cli.demo.recording import DATA, steps
from tests.acceptance.test_cli import User, user
from tests.acceptance.test_drill import drilled, evidence, nothing_is_left, replicates, scratch
from tests.acceptance.test_store_alone import edited
from tests.rings import IS_LONG
from tests.servers.druid import distribution
from tests.servers.postgresql import connected
from tests.servers.server import CHEAP_START

__all__ = ["scratch", "user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

JAVA = """\
#!/bin/sh
exec java {options} "$@"
"""
"""A quick one: a variable would not reach it."""

PAUSED = '"pauseCoordination":true'


@pytest.fixture
def druid_home(druid_folder: Path) -> Path:
    java = druid_folder / "java"
    java.write_text(JAVA.format(options=" ".join(CHEAP_START)))
    java.chmod(0o755)
    return distribution(druid_folder / "apache-druid")


async def test_what_a_drill_restored_is_loaded_and_read_by_a_druid(
    user: User, scratch: Path, druid_home: Path
):
    """Segments that never were any, though no byte is altered; in the long run also a good drill.

    And one that is killed in its middle.
    """
    vault = await drilled(user, scratch)
    edited(user, lambda found: with_druid(found, druid_home))
    await refuses_what_is_not_a_druid(user, scratch)
    await is_told_to_load_nothing_here(user)
    if IS_LONG:  # four JVMs each
        await is_good(user, scratch)
        await leaves_no_server_when_it_is_killed(user, scratch)
    await tells_which_segments_are_none(user, vault)
    nothing_is_left(scratch)
    assert not servers_in(scratch)


async def is_good(user: User, scratch: Path) -> None:
    said = await user.types("drill", "vault", "--json")
    assert said.code == 0, said.err
    rows = recorded_rows("2-publish")
    assert said.result["druid"] == {"release": "33.0.0", "segments": 16, "rows": rows}
    assert [step["step"] for step in said.result["steps"]][-3:] == ["verify", "load", "query"]
    nothing_is_left(scratch)
    assert not servers_in(scratch)


def with_druid(found: dict[str, Any], home: Path) -> None:
    java = str(home.with_name("java"))
    found["drill"]["druid"] = {"home": str(home), "java": java, "stall_timeout": "2m"}
    found["targets"]["vault"]["config_names"] = ["coordinator.config", "lookupsConfig"]


async def refuses_what_is_not_a_druid(user: User, scratch: Path) -> None:
    said = await user.types("drill", "vault", "--set", f"drill.druid.home={scratch}")
    assert said.code == 2
    assert f"{scratch}" in said.err
    assert not list(scratch.iterdir())


async def is_told_to_load_nothing_here(user: User) -> None:
    """A tier that only the real cluster has, and a Coordinator that is to stand still."""
    async with connected(user.source) as connection:
        for table, column, key, said, instead in (
            ("rules", "datasource", "orders", '"_default_tier"', '"hot"'),
            ("config", "name", "coordinator.config", '"pauseCoordination":false', PAUSED),
        ):
            text = f"replace(convert_from(payload, 'UTF8'), '{said}', '{instead}')"
            changed = f"UPDATE druid_{table} SET payload = {text}::bytea WHERE {column} = $1"
            assert await connection.execute(changed, key) == "UPDATE 1"
    await replicates(user)


async def leaves_no_server_when_it_is_killed(user: User, scratch: Path) -> None:
    process = await user.starts("drill", "vault")
    async with asyncio.timeout(120):
        while len(servers_in(scratch)) < 4:
            await asyncio.sleep(0.1)
    await process.kill()
    async with asyncio.timeout(60):
        while servers_in(scratch):
            await asyncio.sleep(0.1)


async def tells_which_segments_are_none(user: User, vault: Path) -> None:
    """What is broken at the source is copied as it is: its checksum is right ever since.

    All others are loaded, and every row of them is counted.
    """
    broken = await publishes_a_broken_segment(user)
    said = await user.types("drill", "vault", "--set", "drill.druid.stall_timeout=20s")
    assert said.code == 9, said.err
    newest = evidence(vault)[-1]
    assert (newest["good"], newest["failure"], newest["findings_count"]) == (False, None, 1)
    assert newest["findings"] == [f"segment {broken} is not loaded by any Historical"]
    assert [step["step"] for step in newest["steps"]][-3:] == ["verify", "load", "query"]
    lost = recorded_rows("3-overwrite", "orders", day=broken.split("_")[1][:10])
    rows = recorded_rows("3-overwrite") - lost
    assert (newest["druid"]["release"], newest["druid"]["rows"]) == ("33.0.0", rows)
    assert lost > 0
    assert (await user.types("verify", "vault", "--level", "checksum")).code == 0


async def publishes_a_broken_segment(user: User) -> str:
    """A day is written again; one of its files is none that Druid knows."""
    step = steps()["3-overwrite"]
    (place,) = [one for one in step.objects_added if one.startswith("orders/")]
    (broken,) = [one["id"] for one in step.upsert["segments"] if one["datasource"] == "orders"]
    version = user.folder / "archive" / place / "version.bin"
    version.write_bytes(b"\xff" * version.stat().st_size)
    await user.play("3-overwrite")
    await replicates(user)
    return str(broken)


def recorded_rows(step: str, datasource: str = "", *, day: str = "") -> int:
    """How many rows the recorded Druid's own Broker counted, in all or on a day."""
    answers = json.loads((DATA / "queries.json").read_text())["answers"][step]
    return sum(
        counted["rows"]
        for name, days in answers.items()
        for counted in days
        if datasource in {"", name} and day in {"", counted["day"]}
    )


def servers_in(folder: Path) -> set[int]:
    """Pids of the Java processes that work in a folder."""
    return {
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if is_in(path, folder)
    }


def is_in(command: Path, folder: Path) -> bool:
    try:
        words = command.read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
        return False
    return words[0].endswith(b"java") and any(bytes(folder) in word for word in words)
