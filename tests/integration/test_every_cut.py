"""Every cut of a long random history on PostgreSQL can be restored: rows, offsets and bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from replicator import config
from replicator.app import Application
from replicator.app.verbs.restoring import Place
from replicator.app.wiring.pipeline import Allowed
from replicator.model.checkpoint import Gap
from replicator.model.event import ClosedCut, Offset
from replicator.model.plans.restore_point import RestorePoint, ToOffset, ToTime
from replicator.model.row import (
    CommitMetadata,
    ConfigEntry,
    Kind,
    Row,
    RowKey,
    Rules,
    Segment,
    Supervisor,
)
from tests.integration.druid_on_postgresql import Bytes, DruidOnPostgresql, Rows
from tests.rings import times
from tests.servers.postgresql import Postgresql, connected
from tests.simulation.druid import ROOT

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class TargetState:
    """What the source held when a cut was taken."""

    rows: Rows
    files: Bytes


@dataclass
class Stage:
    application: Application
    druid: DruidOnPostgresql
    target_dsn: str
    target_root: Path


def settings_file(folder: Path, source_dsn: str, target_dsn: str) -> Path:
    def metadata(dsn: str) -> dict[str, str]:
        login, _, rest = dsn.removeprefix("postgresql://").partition("@")
        user, _, password = login.partition(":")
        (folder / "password").write_text(password)
        url = f"postgresql://{user}@{rest}"
        return {"type": "postgresql", "url": url, "password_file": str(folder / "password")}

    for name in ("source", "target"):
        (folder / name).mkdir(exist_ok=True)
    storage = {"type": "local", "root": str(folder / "source"), "root_in_load_spec": ROOT}
    found = {
        "source": {"name": "prod", "metadata": metadata(source_dsn), "deep_storage": storage},
        "log": {"type": "sqlite", "path": str(folder / "log.sqlite")},
        "targets": {
            "standby": {
                "metadata": metadata(target_dsn),
                "deep_storage": {"type": "local", "root": str(folder / "target")},
                "kill_wait_s": 0,
            }
        },
    }
    path = folder / "replicator.yaml"
    path.write_text(yaml.safe_dump(found))
    return path


async def run_history(stage: Stage, rng: Random, *, cuts: int) -> dict[Offset, TargetState]:
    """Let the source act and be followed; now and then the applier comes late, after kills."""
    watcher = stage.application.replication.watcher()
    applier = await stage.application.replication.applier("standby", Allowed())
    held: dict[Offset, TargetState] = {}
    while len(held) < cuts:
        for _ in range(rng.choice([1, 1, 2])):
            await stage.druid.step()
        if not await watcher.poll():
            continue
        last = await last_cut(stage.application)
        held[last.offset] = TargetState(*stage.druid.now_held())
        if rng.random() < 0.7:
            while await applier.apply_next():
                pass
    while await applier.apply_next():
        pass
    return held


async def last_cut(application: Application) -> ClosedCut:
    span = await application.history.span()
    return (await application.history.cuts(Offset(max(0, span.end - 50)), span.end))[-1]


async def restore(stage: Stage, point: RestorePoint) -> None:
    restorer = (await Place(target="standby", into="standby").decide(stage.application)).restorer()
    plan = await restorer.plan(point, datasource=None, adopt=False)
    await restorer.execute(plan, accept_gaps=True)


async def check(stage: Stage, offset: Offset, held: TargetState, gaps: list[Gap]) -> None:
    """The target's tables and files are those of the cut, its gaps apart."""
    missing = {RowKey(gap.kind, gap.key) for gap in gaps if gap.at(offset)}
    wanted = {
        key: wanted_row(row, stage.target_root)
        for key, row in held.rows.items()
        if key not in missing and not (key.kind is Kind.CONFIG and key.key != "lookupsConfig")
    }
    assert await present_rows(stage.target_dsn) == wanted
    for key in wanted:
        row = held.rows[key]
        if isinstance(row, Segment):
            check_files(stage.target_root, row, held.files)


def check_files(root: Path, row: Segment, files: Bytes) -> None:
    path = json.loads(row.payload)["loadSpec"].get("path")
    if path is None:
        return
    place = path.removeprefix(f"{ROOT}/")
    assert {p.name: p.read_bytes() for p in (root / place).iterdir()} == files[place]


def wanted_row(row: Row, target_root: Path) -> tuple[Any, ...]:
    """A source's row as literal values that the target must have, by a rule of the test's own."""
    match row:
        case Segment():
            payload = json.loads(row.payload)
            if "path" in payload["loadSpec"]:
                place = payload["loadSpec"]["path"].removeprefix(ROOT)
                payload["loadSpec"]["path"] = f"{target_root}{place}"
            return (
                *(row.id, row.datasource, row.created_date, row.start, row.end, row.partitioned),
                *(row.version, row.used, row.upgraded_from_segment_id, payload),
            )
        case CommitMetadata():
            sha1, offsets = row.commit_metadata_sha1, row.commit_metadata_payload
            return (row.datasource, row.created_date, sha1, offsets)
        case Supervisor():
            return (row.spec_id, {**json.loads(row.payload), "suspended": True})
        case Rules():
            return (row.datasource, row.payload)
        case ConfigEntry():
            return (row.name, row.payload)
        case _:
            raise AssertionError(row)


async def present_rows(dsn: str) -> dict[RowKey, tuple[Any, ...]]:
    found: dict[RowKey, tuple[Any, ...]] = {}
    async with connected(dsn) as connection:
        for row in await connection.fetch(
            'SELECT id, datasource, created_date, start, "end", partitioned, version, used,'
            " upgraded_from_segment_id, payload FROM druid_segments"
        ):
            *columns, payload = row
            found[RowKey(Kind.SEGMENT, row["id"])] = (*columns, json.loads(payload))
        for row in await connection.fetch(
            "SELECT datasource, created_date, commit_metadata_sha1, commit_metadata_payload"
            " FROM druid_datasource"
        ):
            found[RowKey(Kind.COMMIT, row[0])] = tuple(row)
        for row in await connection.fetch(
            "SELECT DISTINCT ON (spec_id) spec_id, payload FROM druid_supervisors"
            " ORDER BY spec_id, id DESC"
        ):
            found[RowKey(Kind.SUPERVISOR, row[0])] = (row[0], json.loads(row[1]))
        for row in await connection.fetch(
            "SELECT DISTINCT ON (datasource) datasource, payload FROM druid_rules"
            " ORDER BY datasource, version DESC"
        ):
            found[RowKey(Kind.RULES, row[0])] = tuple(row)
        for row in await connection.fetch("SELECT name, payload FROM druid_config"):
            found[RowKey(Kind.CONFIG, row[0])] = tuple(row)
    return found


@pytest.mark.parametrize(
    ("source_layout", "target_layout", "cuts"),
    [
        ("druid-33", "druid-33", times(20, 200)),
        ("druid-37", "druid-37", times(5, 25)),
        ("druid-33-centralized", "druid-33", times(5, 25)),
        ("druid-33", "druid-37-centralized", times(5, 25)),
    ],
)
async def test_every_cut_of_a_random_history_can_be_restored(
    postgresql: Postgresql, tmp_path: Path, source_layout: str, target_layout: str, cuts: int
):
    rng = Random(f"{source_layout} {target_layout}")
    async with (
        postgresql.database(source_layout) as source_dsn,
        postgresql.database(target_layout) as target_dsn,
    ):
        path = settings_file(tmp_path, source_dsn, target_dsn)
        druid = DruidOnPostgresql(rng, source_dsn, tmp_path / "source")
        async with Application(config.load(path, {}), {}, lambda _: None) as application:
            stage = Stage(application, druid, target_dsn, tmp_path / "target")
            held = await run_history(stage, rng, cuts=cuts)
            assert len(held) == cuts
            await restore_each(stage, rng, held)


async def restore_each(stage: Stage, rng: Random, held: Mapping[Offset, TargetState]) -> None:
    """In a random order, so forwards as well as backwards; every fifth by time."""
    span = await stage.application.history.span()
    times = {
        cut.offset: cut.closed.source_time
        for cut in await stage.application.history.cuts(Offset(0), span.end)
    }
    offsets = list(held)
    rng.shuffle(offsets)
    metadata = stage.application.target("standby").metadata
    whole = 0
    for number, offset in enumerate(offsets):
        by_time = number % 5 == 0
        await restore(stage, ToTime(time=times[offset]) if by_time else ToOffset(offset=offset))
        log_id = (await stage.application.history.span()).log_id
        gaps = list(await metadata.gaps("prod", log_id))
        await check(stage, offset, held[offset], gaps)
        whole += not any(gap.at(offset) for gap in gaps)
    assert whole > len(offsets) // 4, "most cuts have gaps: kills should not be that frequent"
