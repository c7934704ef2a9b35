"""Two real Druids with basic security, 37 or 33: a standby follows, and takes over users and all.

There is no Broker of 37 on Maven Central, so a native query asks the Historical. Basic security of
33 is not there either; that of 37 runs in it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.acceptance.druids import Cluster, User, cluster, used_segments, write_config
from tests.folders import files_below
from tests.servers.druid import DRUID_33_SECURED, DRUID_37, DruidError, Login, Release, Row
from tests.servers.postgresql import Postgresql, connected, execute
from tests.servers.process import Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("jvms"),
]
DAYS = ("2024-01-01", "2024-01-02", "2024-01-03")
ANN: Login = ("ann", "of the source")
AUTHENTICATION = "/druid-ext/basic-security/authentication/db/Basic/users"
AUTHORIZATION = "/druid-ext/basic-security/authorization/db/Basic"
COMPACTION = ("coordinator", "/druid/coordinator/v1/config/compaction")
DYNAMIC = ("coordinator", "/druid/coordinator/v1/config")
BROKERS = ("coordinator", "/druid/coordinator/v1/broker/config")
RULES = ("coordinator", "/druid/coordinator/v1/rules/wiki")
FOREVER = {
    "type": "loadForever",
    "tieredReplicants": {"_default_tier": 1},
    "useDefaultTierForNull": True,
}
CACHED = {"druid.manager.segments.useIncrementalCache": "always"}
BLOCKED = {"queryBlocklist": [{"ruleName": "no scans", "queryTypes": ["scan"]}]}


def secured(admin: str, system: str) -> dict[str, str]:
    """Return what switches basic security on, as its documentation has it."""
    return {
        "druid.auth.authenticatorChain": '["Basic"]',
        "druid.auth.authenticator.Basic.type": "basic",
        "druid.auth.authenticator.Basic.initialAdminPassword": admin,
        "druid.auth.authenticator.Basic.initialInternalClientPassword": system,
        "druid.auth.authenticator.Basic.credentialsValidator.type": "metadata",
        "druid.auth.authenticator.Basic.skipOnFailure": "false",
        "druid.auth.authenticator.Basic.authorizerName": "Basic",
        "druid.auth.authorizers": '["Basic"]',
        "druid.auth.authorizer.Basic.type": "basic",
        "druid.escalator.type": "basic",
        "druid.escalator.internalClientUsername": "druid_system",
        "druid.escalator.internalClientPassword": system,
        "druid.escalator.authorizerName": "Basic",
        "druid.auth.basic.common.pollingPeriod": "1000",
        "druid.auth.basic.common.maxRandomDelay": "100",
    }


def rows(day: str, *numbers: int) -> list[Row]:
    return [{"__time": f"{day}T00:00:00.000Z", "page": "a", "n": n} for n in numbers]


async def test_a_druid_37_is_followed_and_its_standby_takes_over(
    postgresql: Postgresql, druid_folder: Path, forks: Processes
):
    async with pair(postgresql, druid_folder, forks, DRUID_37, CACHED) as user:
        await loaded(user.source)
        await follows(user, {"2024-01-01": 7, "2024-01-02": 5, "2024-01-03": 6})
        await rules_follow(user)
        await marks_and_kills_follow(user)
        await user.does("verify", "standby", "--level", "checksum")
        await takes_over(user)
        await it_is_known_who_asked(user)


async def test_a_standby_of_a_secured_druid_33_takes_over(
    postgresql: Postgresql, druid_folder: Path, forks: Processes
):
    async with pair(postgresql, druid_folder, forks, DRUID_33_SECURED, {}) as user:
        await loaded(user.source)
        await follows(user, {"2024-01-01": 7, "2024-01-02": 5, "2024-01-03": 6})
        await takes_over(user)
        found = await user.standby.client.sql('SELECT SUM(n) AS "sum" FROM wiki')
        assert found == [{"sum": 21}]


@asynccontextmanager
async def pair(
    postgresql: Postgresql,
    folder: Path,
    forks: Processes,
    release: Release,
    more: Mapping[str, str],
) -> AsyncIterator[User]:
    """Run both with passwords of their own for what Druid makes itself."""
    async with AsyncExitStack() as stack:
        source, standby = [
            await stack.enter_async_context(
                cluster(
                    name,
                    folder,
                    postgresql,
                    standby=name == "standby",
                    release=release,
                    login=("admin", f"admin of {name}"),
                    more=secured(f"admin of {name}", f"system of {name}") | dict(more),
                )
            )
            for name in ("source", "standby")
        ]
        user = User(await configured(folder, source, standby), forks, source, standby)
        await user.does("check")
        yield user


async def configured(folder: Path, source: Cluster, standby: Cluster) -> Path:
    log = {"type": "sqlite", "path": str(folder / "log.sqlite")}
    path = await write_config(folder, source, {"standby": standby}, log)
    found = yaml.safe_load(path.read_text())
    found["targets"]["standby"]["promotion"] = {"security": True}
    found["watch"]["audit_rows"] = True
    path.write_text(yaml.safe_dump(found))
    return path


async def loaded(source: Cluster) -> None:
    """Three days; the first is overwritten, to the second is appended."""
    await source.client.load("wiki", [*rows(DAYS[0], 1), *rows(DAYS[1], 2), *rows(DAYS[2], 6)])
    await source.client.load("wiki", rows(DAYS[0], 7), interval=f"{DAYS[0]}/{DAYS[1]}")
    await source.client.load("wiki", rows(DAYS[1], 3), append=True)


async def follows(user: User, wanted: Mapping[str, int]) -> None:
    """Bring the standby up to date, and ask its Historical what it answers."""
    await user.does("watch", "--once")
    await user.does("apply", "standby", "--once")
    await until(lambda: sums(user.source), wanted)
    await until(lambda: sums(user.standby), wanted)
    found = [await served(one) for one in (user.source, user.standby)]
    assert found[0] == found[1]


async def sums(asked: Cluster) -> dict[str, int]:
    """Return the sum of `n` of each day, by a native query to the Historical."""
    segments = await served(asked)
    spec = [
        {"itvl": one["interval"], "ver": one["version"], "part": one["shardSpec"]["partitionNum"]}
        for one in segments.values()
    ]
    query = {
        "queryType": "timeseries",
        "dataSource": "wiki",
        "granularity": "day",
        "intervals": {"type": "segments", "segments": spec},
        "aggregations": [{"type": "longSum", "name": "n", "fieldName": "n"}],
        "context": {"skipEmptyBuckets": True},
    }
    found = await asked.client.ask("POST", "historical", "/druid/v2", query) if spec else []
    return {row["timestamp"][:10]: row["result"]["n"] for row in found}


async def served(asked: Cluster) -> dict[str, dict[str, Any]]:
    """Return what the Coordinator holds for used and visible, and is loaded."""
    used = await asked.client.used()
    path = "/druid/coordinator/v1/servers?full"
    servers = await asked.client.ask("GET", "coordinator", path)
    return {
        id_: {key: one[key] for key in ("interval", "version", "shardSpec")}
        for server in servers
        for id_, one in server.get("segments", {}).items()
        if id_ in used
    }


async def until(ask: Callable[[], Awaitable[object]], wanted: object) -> None:
    found: object = None
    try:
        async with asyncio.timeout(90):
            while found != wanted:
                await asyncio.sleep(0.2)
                try:
                    found = await ask()
                except DruidError as exc:  # a segment was dropped between the two questions
                    found = exc
    except TimeoutError:
        raise AssertionError(f"wanted {wanted}, found {found}") from None


async def rules_follow(user: User) -> None:
    await user.source.client.rules("wiki", [FOREVER], author="operator")
    await user.does("watch", "--once")
    await user.does("apply", "standby", "--once")
    await until(lambda: user.standby.client.ask("GET", *RULES), [FOREVER])


async def marks_and_kills_follow(user: User) -> None:
    """A day is marked unused, used, unused again, and killed: its rows go, its bytes stay."""
    day, others = f"{DAYS[2]}/2024-01-04", {"2024-01-01": 7, "2024-01-02": 5}
    bytes_before = zips(user.standby)
    await user.source.client.mark_unused("wiki", day)
    await follows(user, others)
    await user.source.client.mark_used("wiki", day)
    await follows(user, {**others, "2024-01-03": 6})
    await user.source.client.mark_unused("wiki", day)
    await follows(user, others)
    rows_before = await known_rows(user.standby)
    await user.source.client.kill_unused("wiki", day)
    await follows(user, others)
    gone = rows_before - await known_rows(user.standby)
    assert len(gone) == 1
    assert next(iter(gone)).startswith(f"wiki_{DAYS[2]}")
    assert zips(user.standby) == bytes_before


def zips(asked: Cluster) -> set[Path]:
    return {path for path in files_below(asked.root) if "_replicator" not in path.parts}


async def known_rows(asked: Cluster) -> set[str]:
    async with connected(asked.dsn) as connection:
        return {row["id"] for row in await connection.fetch("SELECT id FROM druid_segments")}


async def takes_over(user: User) -> None:
    """A user of the source logs in, what is configured is equal, and both sides' own stay."""
    source, standby = user.source, user.standby
    await ann_is_made(source)
    compaction = await is_configured(source)
    await user.does("watch", "--once")
    await user.does("apply", "standby", "--once")
    with pytest.raises(DruidError, match="401"):
        await standby.client.ask("GET", *DYNAMIC, login=ANN)
    source.druid.kill()

    done = await user.does("failover", "standby", "--yes")
    assert done["done"]
    await until(lambda: standby.client.ask("GET", *COMPACTION), compaction)
    if source.druid.release is DRUID_37:
        found = await standby.client.ask("GET", *BROKERS)
        assert found["queryBlocklist"][0]["ruleName"] == "no scans"
    await until(lambda: may_read(standby, ANN), wanted=True)
    assert not await may_read(standby, (ANN[0], "wrong"))
    assert await may_read(standby, ("druid_system", "system of standby"))
    assert not await may_read(standby, ("druid_system", "system of source"))
    assert await may_read(standby, ("admin", "admin of standby"))
    await works(standby)


async def it_is_known_who_asked(user: User) -> None:
    """Druid's own audit rows are in the log, and the source's table is gone."""
    await execute(user.source.dsn, "DROP TABLE druid_audit")
    found = await user.does("blame", "wiki")
    assert found["audit_missing"] is None
    asked = {row["type"]: row["author"] for row in found["audit"] if row["key"] == "wiki"}
    assert asked["rules"] == "operator"


async def works(standby: Cluster) -> None:
    """Its servers still talk to one another: a task runs, and what it publishes is loaded."""
    await standby.client.load("wiki", rows(DAYS[2], 9), interval=f"{DAYS[2]}/2024-01-04")
    await until(lambda: sums(standby), {"2024-01-01": 7, "2024-01-02": 5, "2024-01-03": 9})
    assert set(await served(standby)) <= (await used_segments(standby.dsn)).keys()


async def ann_is_made(source: Cluster) -> None:
    """Make a user who may read the configuration, through Druid itself."""
    ask, (name, password) = source.client.ask, ANN
    await ask("POST", "coordinator", f"{AUTHENTICATION}/{name}")
    await ask("POST", "coordinator", f"{AUTHENTICATION}/{name}/credentials", {"password": password})
    await ask("POST", "coordinator", f"{AUTHORIZATION}/users/{name}")
    await ask("POST", "coordinator", f"{AUTHORIZATION}/roles/readers")
    await ask("POST", "coordinator", f"{AUTHORIZATION}/users/{name}/roles/readers")
    grants = [{"resource": {"name": ".*", "type": "CONFIG"}, "action": "READ"}]
    await ask("POST", "coordinator", f"{AUTHORIZATION}/roles/readers/permissions", grants)
    await until(lambda: may_read(source, ANN), wanted=True)


async def is_configured(source: Cluster) -> dict[str, Any]:
    wiki = {"dataSource": "wiki", "skipOffsetFromLatest": "P36500D", "taskPriority": 7}
    await source.client.ask("POST", *COMPACTION, wiki)
    if source.druid.release is DRUID_37:  # older ones have no block list
        await source.client.ask("POST", *BROKERS, BLOCKED)
    found: dict[str, Any] = await source.client.ask("GET", *COMPACTION)
    assert found["compactionConfigs"]
    return found


async def may_read(asked: Cluster, login: Login) -> bool:
    """Return whether somebody logs in and is allowed; any other answer than 401 and 403 fails."""
    try:
        await asked.client.ask("GET", *DYNAMIC, login=login)
    except DruidError as exc:
        if ": 401 " not in str(exc) and ": 403 " not in str(exc):
            raise
        return False
    return True
