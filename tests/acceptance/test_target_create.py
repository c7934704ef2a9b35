"""`target create`: what a target needs before anything is applied to it."""

from pathlib import Path

import pytest
import yaml

from replicator.model.row import Supervisor
from tests.acceptance.test_killed import set_up
from tests.integration.test_every_cut import present_rows
from tests.servers.postgresql import Postgresql, connected, execute, put
from tests.servers.process import Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]


@pytest.mark.parametrize(
    ("release", "centralized", "schemas"),
    [("25.0.0", False, False), ("33.0.0", False, False), ("37.0.0", True, True)],
)
async def test_an_empty_database_gets_the_tables_of_a_release(
    postgresql: Postgresql,
    tmp_path: Path,
    forks: Processes,
    release: str,
    centralized: bool,
    schemas: bool,
):
    async with postgresql.database() as source, postgresql.database(None) as target:
        log = {"type": "sqlite", "path": str(tmp_path / "log.sqlite")}
        config = str(set_up(tmp_path, source, target, log))
        (tmp_path / "target").rmdir()
        unsaid = await forks.run("target", "create", "standby", "--config", config)
        assert (unsaid.code, "--druid-release" in unsaid.err) == (4, True)
        flags = ["--centralized-schema"] if centralized else []
        command = ("target", "create", "standby", "--config", config, "--json")
        made = await forks.run(*command, "--druid-release", release, *flags)
        assert made.code == 0, made.err
        assert made.result["tables_made"]
        assert not made.result["settings_checked"]
        assert "druid.coordinator.kill.datasource.on" in made.out
        async with connected(target) as connection:
            found = await connection.fetchval("SELECT to_regclass('druid_segmentschemas')")
        assert (found is not None) is schemas
        assert (tmp_path / "target").is_dir()
        again = await forks.run(*command)
        assert (again.code, again.result["tables_made"]) == (0, False)
        for args in (("watch", "--once"), ("apply", "standby", "--once")):
            assert (await forks.run(*args, "--config", config)).code == 0
        assert await present_rows_or_none(target, release) is not None


async def present_rows_or_none(dsn: str, release: str) -> object:
    return {} if release.startswith("25") else await present_rows(dsn)


@pytest.mark.parametrize("tables", [None, "druid-33"], ids=["empty", "filled"])
async def test_a_release_whose_tables_are_not_known_is_left_to_druid(
    postgresql: Postgresql, tmp_path: Path, forks: Processes, tables: str | None
):
    """Also where nothing is to be made: an option is never left unread."""
    async with postgresql.database() as source, postgresql.database(tables) as target:
        log = {"type": "sqlite", "path": str(tmp_path / "log.sqlite")}
        config = set_up(tmp_path, source, target, log)
        said = await forks.run(
            *("target", "create", "standby", "--druid-release", "29.0.0", "--config", str(config))
        )
        assert said.code == 2
        assert "start its Coordinator" in said.err


async def test_a_druid_that_does_not_answer_is_a_matter_of_trying_later(
    postgresql: Postgresql, tmp_path: Path, forks: Processes
):
    async with postgresql.database() as source, postgresql.database() as target:
        log = {"type": "sqlite", "path": str(tmp_path / "log.sqlite")}
        config = set_up(tmp_path, source, target, log)
        found = yaml.safe_load(config.read_text())
        found["targets"]["standby"]["druid"] = {"coordinator_url": "http://127.0.0.1:1"}
        config.write_text(yaml.safe_dump(found))
        for args in (("target", "create", "standby"), ("failover", "standby", "--yes")):
            said = await forks.run(*args, "--config", str(config))
            assert said.code in {4, 8}, said.err
            assert "http://127.0.0.1:1" in said.err or "holds nothing" in said.err


async def test_a_target_that_was_filled_by_copy_is_put_right(
    postgresql: Postgresql, tmp_path: Path, forks: Processes
):
    async with postgresql.database() as source, postgresql.database() as target:
        log = {"type": "sqlite", "path": str(tmp_path / "log.sqlite")}
        config = str(set_up(tmp_path, source, target, log))
        await put(target, Supervisor(spec_id="wiki", id=102, created_date="", payload=b"{}"))
        await execute(target, "ALTER TABLE druid_config DROP CONSTRAINT druid_config_pkey")
        checked = await forks.run("check", "--config", config)
        assert checked.code == 1
        assert "druid_supervisors_id_seq stands at 0" in checked.out
        assert 'ADD PRIMARY KEY ("name")' in checked.out
        made = await forks.run("target", "create", "standby", "--config", config, "--json")
        assert made.code == 3
        (left,) = made.result["obstacles"]
        assert "druid_config" in left["what"]
