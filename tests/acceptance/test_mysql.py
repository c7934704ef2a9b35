"""MariaDB between two PostgreSQLs by the command line: a target of one, the source of the other."""

from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from replicator.adapters.mysql.reader import MysqlMetadataReader
from replicator.adapters.postgresql.reader import PostgresqlMetadataReader
from replicator.model.fingerprint import fingerprint
from replicator.model.row import Kind, RowKey, key_of
from replicator.ports import Chunk, MetadataReader
from tests.acceptance.druids import PASSWORD
from tests.acceptance.worked_example import configuration, reading_user, written
from tests.integration.druid_on_postgresql import DruidOnPostgresql
from tests.integration.test_every_cut import settings_file
from tests.rings import times
from tests.servers.mariadb import Mariadb, execute
from tests.servers.postgresql import Postgresql
from tests.servers.process import Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

CUTS = times(gate=2, long=10)
DRUIDS = ("old-broker:8082", "new-coordinator:8081", "new-overlord:8090", "new-broker:8082")
COMPARED = {
    Kind.SEGMENT: frozenset({"id", "datasource", "start", "end", "version", "used"}),
    Kind.COMMIT: frozenset({"datasource", "commit_metadata_sha1", "commit_metadata_payload"}),
    Kind.SUPERVISOR: frozenset({"spec_id"}),
    Kind.RULES: frozenset({"datasource"}),
    Kind.CONFIG: frozenset({"name", "payload"}),
}
"""What is the same on both sides: load specs lead elsewhere, supervisors are suspended."""


async def held(reader: MetadataReader) -> dict[RowKey, bytes]:
    found: dict[RowKey, bytes] = {}
    async with reader.snapshot() as snapshot:
        for kind in snapshot.kinds & COMPARED.keys():
            chunks: list[Chunk] = []
            await snapshot.scan(kind, chunks.append)
            for chunk in chunks:
                for row in await snapshot.fetch(kind, chunk.handles):
                    payload = b"" if kind is not Kind.CONFIG else None
                    mark = fingerprint(row, columns=COMPARED[kind], payload=payload)
                    found[key_of(row)] = mark
    return found


async def chained(folder: Path, first: str, middle: str, last: str) -> tuple[str, str]:
    """Return two configurations: the target of the one is the source of the other.

    The other is that of docs/moving.md, without a Druid to ask.
    """
    one: dict[str, Any] = yaml.safe_load(settings_file(folder, first, last).read_text())
    between = folder / "between"
    one["targets"] = {
        "standby": {
            "metadata": {"type": "mysql", "url": middle},
            "deep_storage": {"type": "local", "root": str(between)},
        }
    }
    url = urlsplit(last)
    other = configuration(
        {
            "old-db:3306/druid": await reading_user(middle),
            "druid@new-db/druid": f"{url.username}@{url.hostname}:{url.port}{url.path}",
            "/mnt/prod/druid/segments": str(between),
            "/mnt/new/druid/segments": str(folder / "target"),
            "/var/lib/druid-replicator/prod.log": str(folder / "other.sqlite"),
            "new:": "standby:",
            **{f"http://{name}": "http://none" for name in DRUIDS},
        }
    )
    other["source"]["name"] = "middle"  # a second link of a chain is a source of its own
    for part in (other["source"], other["targets"]["standby"]):
        del part["druid"]
    return written(one, folder / "one.yaml"), written(other, folder / "other.yaml")


async def test_postgresql_to_mariadb_to_postgresql(
    mariadb: Mariadb, postgresql: Postgresql, forks: Processes, tmp_path: Path
):
    async with (
        postgresql.database() as first,
        mariadb.database(None) as middle,
        postgresql.database() as last,
    ):
        one, other = await chained(tmp_path, first, middle, last)
        druid = DruidOnPostgresql(Random(21), first, tmp_path / "source")

        async def run(config: str, *args: str, code: int = 0) -> dict[str, Any]:
            env = {"OLD_PASSWORD": PASSWORD, "NEW_PASSWORD": urlsplit(last).password or ""}
            done = await forks.run(*args, "--config", config, "--json", env=env)
            assert done.code == code, done.out + done.err
            return done.result

        made = await run(one, "target", "create", "standby", "--druid-release", "33.0.0")
        assert made["tables_made"]
        assert await run(one, "check")
        points: list[tuple[int, dict[RowKey, bytes]]] = []
        for _ in range(CUTS):
            for _ in range(6):
                await druid.step()
            for config in (one, other):
                await run(config, "watch", "--once")
                await run(config, "apply", "standby", "--once")
            wanted = await held(PostgresqlMetadataReader(first))
            assert await held(MysqlMetadataReader(middle)) == wanted
            assert await held(PostgresqlMetadataReader(last)) == wanted
            ((offset,),) = await execute(middle, "SELECT `offset` FROM replicator_checkpoint")
            points.append((offset, wanted))
        for config in (one, other):
            await run(config, "verify", "standby", "--level", "checksum")
        offset, wanted = points[0]
        assert wanted != points[-1][1]
        await run(one, "restore", "standby", "--to-offset", str(offset), "--yes")
        there = await held(MysqlMetadataReader(middle))
        assert {key: mark for key, mark in there.items() if key in wanted} == wanted
        await run(one, "verify", "standby")


async def test_what_a_target_lacks_is_told_with_the_statement_that_mends_it(
    mariadb: Mariadb, postgresql: Postgresql, forks: Processes, tmp_path: Path
):
    async with (
        postgresql.database() as first,
        mariadb.altered("ALTER TABLE druid_config DROP PRIMARY KEY") as middle,
        postgresql.database() as last,
    ):
        one, other = await chained(tmp_path, first, middle, last)
        (tmp_path / "between").mkdir()
        checked = await forks.run("check", "--config", one)
        assert checked.code == 1
        assert "ALTER TABLE `druid_config` ADD PRIMARY KEY (`name`)" in checked.out
        await execute(middle, "DROP TABLE druid_config")
        env = {"OLD_PASSWORD": PASSWORD, "NEW_PASSWORD": urlsplit(last).password or ""}
        for config in (one, other):
            missing = await forks.run("check", "--config", config, env=env)
            assert "no table `druid_config`" in missing.out
        wrong = other.replace("other", "wrong")
        place = urlsplit(middle).netloc.rpartition("@")[2]
        Path(wrong).write_text(Path(other).read_text().replace(place, "127.0.0.1:1"))
        away = await forks.run("watch", "--once", "--config", wrong, env=env)
        assert away.code == 8, away.err
        assert "127.0.0.1:1" in away.err
