"""The change stream by the command line: what is missing, its slot, and a restore to one commit."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pytest
import yaml

from replicator.adapters.machine.clock import SystemClock
from replicator.adapters.sqlite.log import SqliteEventLog
from replicator.model.event import CutClosed, Offset, RowChanged, RowRemoved
from replicator.model.log.wire import decode
from replicator.model.row import Kind, RowKey, Segment
from tests.integration.druid_on_postgresql import DruidOnPostgresql
from tests.integration.test_every_cut import settings_file
from tests.servers.postgresql import Postgresql, connected, execute
from tests.servers.process import Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.xdist_group("change stream")]

COMMITS = 12
Run: TypeAlias = Callable[..., Awaitable[dict[str, Any]]]


async def test_a_stream_is_prepared_followed_and_restored_to_any_commit(
    logical_postgresql: Postgresql, forks: Processes, tmp_path: Path
):
    async with logical_postgresql.database() as source, logical_postgresql.database() as target:
        await execute(source, "DROP PUBLICATION IF EXISTS druid_replicator")
        path = settings_file(tmp_path, source, target)
        settings = yaml.safe_load(path.read_text())
        settings["source"]["metadata"]["change_stream"] = {"slot": "accepted"}
        path.write_text(yaml.safe_dump(settings))
        druid = DruidOnPostgresql(Random(5), source, tmp_path / "source")

        async def run(*args: str, code: int = 0) -> dict[str, Any]:
            done = await forks.run(*args, "--config", str(path), "--json")
            assert done.code == code, done.out + done.err
            return done.result

        try:
            await run("watch", "--once")
            await mended(await run("check", code=1), source)
            await run("stream", "create")
            assert await run("check")
            assert not (await run("stream", "create"))["created"]
            await run("watch", "--once")
            await run("apply", "standby", "--once")
            held = []
            for _ in range(COMMITS):
                await druid.step()
                held.append(await segments(source))
            assert (await run("watch", "--once"))["published"]
            await run("apply", "standby", "--once")
            await run("verify", "standby")
            await holds_each_commit(run, tmp_path / "log.sqlite", target, held)
            assert (await run("stream", "drop"))["dropped"]
            assert not (await run("stream", "drop"))["dropped"]
        finally:
            await execute(source, "DROP PUBLICATION IF EXISTS druid_replicator")
            await execute(
                source,
                "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                " WHERE slot_name = 'accepted'",
            )


async def mended(checked: dict[str, Any], source: str) -> None:
    """Do what `check` says for the publication, as a DBA would."""
    found = [one for one in checked["findings"] if one["what"] == "source change stream"]
    lacks = {one["detail"]: one["hint"] for one in found if not one["good"]}
    assert [*lacks] == [
        "there is no replication slot accepted",
        "there is no publication druid_replicator",
    ]
    await execute(source, lacks["there is no publication druid_replicator"])
    assert any("max_slot_wal_keep_size" in one["detail"] for one in found if one["note"])


async def segments(dsn: str) -> dict[str, bool]:
    async with connected(dsn) as connection:
        found = await connection.fetch("SELECT id, used FROM druid_segments")
    return {row["id"]: row["used"] for row in found}


async def holds_each_commit(run: Run, log: Path, target: str, held: list[dict[str, bool]]) -> None:
    """Restore to single commits in the middle, each of which is a cut."""
    told = await cuts(log)
    for state in (held[COMMITS // 3], held[COMMITS - 2]):
        (offset, *_) = [at for at, found in told if found == state]
        await run("restore", "standby", "--to-offset", str(offset), "--yes")
        assert await segments(target) == state


async def cuts(log: Path) -> list[tuple[int, dict[str, bool]]]:
    """Return the offset of each cut, and which segments there are after it."""
    found: list[tuple[int, dict[str, bool]]] = []
    rows: dict[str, bool] = {}
    async with SqliteEventLog(log, SystemClock(), "prod") as events:
        for record in await events.read(Offset(0), records_max=100_000):
            match decode(record).event:
                case RowChanged(row=Segment() as row):
                    rows[row.id] = row.used
                case RowRemoved(key=RowKey(kind=Kind.SEGMENT, key=key)):
                    del rows[key]
                case CutClosed():
                    found.append((record.offset, dict(rows)))
                case _:
                    pass
    return found
