"""A region burns: source, deep storage, log and configuration are gone, one store is left."""

import json
import shutil
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from tests.acceptance.test_cli import User, user
from tests.servers.postgresql import Postgresql, connected, execute
from tests.servers.process import Ended

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

ROWS = 'SELECT id, datasource, used, start, "end", version FROM druid_segments ORDER BY id'


async def rows(dsn: str) -> list[tuple[Any, ...]]:
    async with connected(dsn) as connection:
        return [tuple(row) for row in await connection.fetch(ROWS)]


def edited(user: User, change: Any) -> None:
    found = yaml.safe_load(user.config.read_text())
    change(found)
    user.config.write_text(yaml.safe_dump(found))


def archive(folder: Path) -> dict[str, Any]:
    return {"deep_storage": {"type": "local", "root": str(folder / "vault")}, "kill_wait_s": 0}


STEPS = ("1-history", "2-publish", "3-overwrite", "4c-drop", "5-accident")
RESTORE = ("restore", "--from", "vault", "--into", "rescue")
TargetState: TypeAlias = dict[int, list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Rescuer(User):
    """Somebody with a fresh machine; nothing but the vault is left."""

    held: TargetState
    """What the source's rows were at each cut."""

    async def restores(self, offset: int, *more: str) -> Ended:
        return await self.types(*RESTORE, "--to-offset", str(offset), "--yes", *more)

    async def has(self, offset: int, *, without: Iterable[str] = ()) -> None:
        wanted = [row for row in self.held[offset] if row[0] not in set(without)]
        assert await rows(self.target) == wanted


async def burnt(user: User) -> Rescuer:
    """Let an archive follow a source to its end, then take everything else away."""
    (user.folder / "vault").mkdir()
    edited(user, lambda found: found["targets"].update(vault=archive(user.folder)))
    states: list[list[tuple[Any, ...]]] = []
    for name in STEPS:
        await user.play(name)
        assert (await user.types("watch", "--once")).code == 0
        said = await user.types("apply", "vault", "--once")
        assert said.code == 0, said.err
        states.append(await rows(user.source))
    points = (await user.types("points", "--all", "--json")).result["points"]
    held = {point["offset"]: state for point, state in zip(points, states, strict=True)}
    shutil.rmtree(user.folder / "source")
    for path in user.folder.glob("log.sqlite*"):
        path.unlink()
    fresh = user.folder / "fresh"
    fresh.mkdir()
    targets = yaml.safe_load(user.config.read_text())["targets"]
    config = {"targets": {"rescue": targets["standby"], "vault": targets["vault"]}}
    (fresh / "replicator.yaml").write_text(yaml.safe_dump(config))
    config_file = fresh / "replicator.yaml"
    return Rescuer(user.folder, config_file, user.source, user.target, user.forks, held)


async def test_a_store_is_enough(user: User):
    """Without source, log and state: rows and bytes of each cut come back, and are proved."""
    rescuer = await burnt(user)
    first, *_, before, last = sorted(rescuer.held)
    await says_what_it_can(rescuer)
    await refuses_the_rest(rescuer)
    await makes_what_is_missing(rescuer, first)
    for offset in (before, first):
        assert (await rescuer.restores(offset)).code == 0
        await rescuer.has(offset)
    proof = await rescuer.types(
        "verify", "rescue", "--from", "vault", "--level", "checksum", "--json"
    )
    assert (proof.code, proof.result["good"]) == (0, True), proof.out
    await stays_where_it_is(rescuer)
    await names_what_is_altered(rescuer, before, last)


async def makes_what_is_missing(rescuer: Rescuer, offset: int) -> None:
    """Into a database without any table: those of the source's release, as the store shows."""
    await execute(rescuer.target, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    looked = await rescuer.types("check")
    assert looked.code == 1
    assert "target create rescue" in looked.out
    planned = await rescuer.types(*RESTORE, "--to-offset", str(offset), "--dry-run")
    assert (planned.code, "target create rescue" in planned.err) == (4, True)
    unasked = await rescuer.types(*RESTORE, "--to-offset", str(offset))
    assert (unasked.code, "needs --yes" in unasked.err) == (4, True)
    made = await rescuer.restores(offset)
    assert "no log, so there is nothing that it could follow" in made.out
    assert "--resume" not in made.out
    assert made.code == 0, made.err
    assert "the tables of Druid 33 were made: the rows in the store of vault" in made.out
    await rescuer.has(offset)
    async with connected(rescuer.target) as connection:
        columns = "SELECT column_name FROM information_schema.columns WHERE table_name = $1"
        found = {row[0] for row in await connection.fetch(columns, "druid_segments")}
    assert "used_status_last_updated" in found
    assert not found & {"indexing_state_fingerprint", "schema_fingerprint"}
    assert (await rescuer.types("check")).code == 0


async def says_what_it_can(rescuer: Rescuer) -> None:
    points = (await rescuer.types("points", "--from", "vault", "--all", "--json")).result
    assert [point["offset"] for point in points["points"]] == sorted(rescuer.held)
    (window,) = points["targets"][0]["windows"]
    assert window["first"]["offset"] == min(rescuer.held)
    assert window["last"]["offset"] == max(rescuer.held)
    status = await rescuer.types("status")
    assert status.code == 2
    assert "with `--from STORE`" in status.err


async def refuses_the_rest(rescuer: Rescuer) -> None:
    """Never rounded: the nearest cuts are named."""
    late = await rescuer.restores(max(rescuer.held) + 5)
    assert late.code == 11
    assert f"offset {max(rescuer.held)}" in late.err
    early = await rescuer.restores(0)
    assert early.code == 11
    assert f"offset {min(rescuer.held)}" in early.err
    assert await rows(rescuer.target) == []


async def stays_where_it_is(rescuer: Rescuer) -> None:
    """By reference no byte is copied; the load specs lead into the vault."""
    said = await rescuer.restores(min(rescuer.held), "--by-reference", "--json")
    assert said.code == 0, said.err
    assert said.result["bytes_copied"] == 0
    async with connected(rescuer.target) as connection:
        payloads = await connection.fetch("SELECT payload FROM druid_segments")
    paths = [json.loads(row["payload"])["loadSpec"]["path"] for row in payloads]
    assert paths
    assert all(Path(path).exists() for path in paths)
    assert all(path.startswith(str(rescuer.folder / "vault")) for path in paths)
    await rescuer.has(min(rescuer.held))


async def names_what_is_altered(rescuer: Rescuer, before: int, last: int) -> None:
    """One flipped bit at the end of the history: the cuts before it come back."""
    files = sorted((rescuer.folder / "vault" / "_replicator" / "history").rglob("*.zst"))
    data = bytearray(files[-1].read_bytes())
    data[len(data) // 2] ^= 1
    files[-1].write_bytes(data)
    assert files[-1].name in (await rescuer.types("points", "--from", "vault")).out
    assert (await rescuer.restores(last)).code == 11
    assert (await rescuer.restores(before)).code == 0
    await rescuer.has(before)


async def test_a_log_that_was_lost_in_part_is_read_from_the_store(
    user: User, postgresql: Postgresql
):
    """The watcher and the standby go on where the log's beginning is gone."""
    await user.cut("1-history", "2-publish", "3-overwrite")
    async with connected(user.source) as connection:
        wanted = await connection.fetch(ROWS)
    trim(user.folder / "log.sqlite", keep=2)
    await user.play("4c-drop")
    watched = await user.types("watch", "--once")
    assert watched.code == 0, watched.err
    applied = await user.types("apply", "standby", "--once")
    assert applied.code == 0, applied.err
    assert await rows(user.target) == await rows(user.source) != [tuple(row) for row in wanted]
    back = await user.types("restore", "standby", "--to-offset", "19", "--yes")
    assert back.code == 0, back.err
    assert len(await rows(user.target)) > 0


def trim(log: Path, *, keep: int) -> None:
    """Take away the log's beginning, as a retention does."""
    with sqlite3.connect(log) as connection:
        (last,) = connection.execute("SELECT max(offset) FROM records").fetchone()
        connection.execute("DELETE FROM records WHERE offset <= ?", (last - keep,))
    connection.close()
