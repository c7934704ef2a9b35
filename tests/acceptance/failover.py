"""A standby takes over a stream: every message once in the end, proved by queries."""

import asyncio
from pathlib import Path
from typing import Any

from tests.acceptance.acts import DAYS, Stream
from tests.acceptance.druids import Cluster, User
from tests.folders import files_below
from tests.servers.druid import AT_REST_S
from tests.servers.postgresql import execute

ROWS = 'SELECT COUNT(*) AS "rows", MAX(n) AS "last" FROM "clicks"'
MESSAGES = 'SELECT COUNT(*) AS "messages" FROM (SELECT DISTINCT n FROM "clicks")'


async def a_killed_source_loses_no_message(user: User, stream: Stream) -> None:
    """It dies between two publishes, under a standby that was at an older cut a moment ago."""
    source, standby = user.source, user.standby
    resumed = await user.types("apply", "standby", "--resume", "--once", "--yes")
    assert resumed.code == 0, resumed.err
    running = await user.starts("run")
    compaction = await configured(source)
    await user.standby_is(await user.moment("configured"))
    published = stream.sent
    await read_but_not_published(source, stream)
    source.druid.kill()
    await stream.send(20)

    plan = await user.does("failover", "standby", "--dry-run")
    assert (plan["done"], plan["supervisors"]) == (
        False,
        [{"id": "clicks", "offsets": {"0": str(published)}}],
    )
    assert plan["configured"] == ["coordinator.compaction.config", "coordinator.config"]
    assert await standby.client.ask("GET", *COMPACTION) != compaction
    own = await standby.client.ask("GET", *DYNAMIC)
    done = await user.does("failover", "standby", "--yes")
    assert (done["done"], done["lost_events"], done["drop_rules_restored"]) == (True, 0, True)
    assert running.is_running, "the watcher and other targets go on"
    assert (await running.terminate()).code == 0
    await counts_are(standby, stream.sent)
    await it_is_configured_alike(standby, own, compaction)
    await stream.send(20)
    await counts_are(standby, stream.sent)
    await standby.client.hand_off("clicks")
    await counts_are(standby, stream.sent)
    await nobody_writes_to_it_any_more(user)
    promoted = {row["target"]: row["promoted"] for row in (await user.status())["targets"]}
    assert promoted.pop("standby")
    assert promoted
    assert not any(promoted.values())


async def killed_on_the_standby_alone(user: User, bucket: Path) -> None:
    """Druid's own killer on the target removes exactly its segments' objects."""
    before = zips(bucket)
    interval = f"{DAYS[0]}/{DAYS[1]}"
    doomed = {path for path in before if f"/wiki/{DAYS[0]}T" in path}
    assert doomed
    assert doomed != before
    await user.standby.client.mark_unused("wiki", interval)
    await user.standby.client.kill_unused("wiki", interval)
    async with asyncio.timeout(60):
        while zips(bucket) != before - doomed:
            await asyncio.sleep(0.3)


def zips(bucket: Path) -> set[str]:
    return {str(path) for path in files_below(bucket) if path.suffix == ".zip"}


COMPACTION = ("coordinator", "/druid/coordinator/v1/config/compaction")
DYNAMIC = ("coordinator", "/druid/coordinator/v1/config")


async def nobody_writes_to_it_any_more(user: User) -> None:
    again = await user.does("failover", "standby", "--yes")
    assert (again["done"], again["configured"]) == (True, []), "it is done already"
    refused = await user.types("apply", "standby", "--once", "--resume")
    assert (refused.code, "was promoted" in refused.err) == (4, True)
    refused = await user.types("restore", "standby", "--to-offset", "8", "--yes")
    assert (refused.code, "was promoted" in refused.err) == (4, True)


async def configured(source: Cluster) -> dict[str, Any]:
    """Say two things that nobody but an operator of the source has said; return the first."""
    wiki = {"dataSource": "clicks", "skipOffsetFromLatest": "P36500D", "taskPriority": 7}
    await source.client.ask("POST", *COMPACTION, wiki)
    dynamic = {"maxSegmentsToMove": 17, "decommissioningNodes": ["127.0.0.1:1"]}
    await source.client.ask("POST", *DYNAMIC, dynamic)
    found: dict[str, Any] = await source.client.ask("GET", *COMPACTION)
    assert found["compactionConfigs"]
    return found


async def it_is_configured_alike(
    standby: Cluster, own: dict[str, Any], compaction: dict[str, Any]
) -> None:
    async with asyncio.timeout(90):
        while await standby.client.ask("GET", *COMPACTION) != compaction:
            await asyncio.sleep(0.3)
    found = await standby.client.ask("GET", *DYNAMIC)
    assert own["maxSegmentsToMove"] != 17
    assert found == {**own, "maxSegmentsToMove": 17}


async def read_again_without_the_offsets(user: User, control: Cluster, stream: Stream) -> None:
    """The negative control: this is how it looks when messages are read twice."""
    await execute(control.dsn, "DELETE FROM druid_datasource")
    done = await user.does("failover", "control", "--yes")
    assert done["supervisors"] == [{"id": "clicks", "offsets": {}}]
    async with asyncio.timeout(60):
        while (found := await counts(control))[0] <= stream.sent:
            await asyncio.sleep(0.5)
    assert found[0] > found[1]


async def promoted_as_planned(user: User, stream: Stream) -> None:
    """It drains first, and is refused while the source moves; no message is lost or doubled."""
    await read_but_not_published(user.source, stream)
    moving = await user.types("promote", "standby", "--yes")
    assert (moving.code, "clicks are not suspended" in moving.err) == (4, True), moving.err
    await user.source.client.supervisor("clicks", "suspend")
    async with asyncio.timeout(120):
        while (ended := await user.types("promote", "standby", "--yes", "--json")).code == 4:
            assert "have not ended" in ended.out
            await asyncio.sleep(0.5)
    assert ended.code == 0, ended.out + ended.err
    assert ended.result["supervisors"] == [{"id": "clicks", "offsets": {"0": str(stream.sent)}}]
    assert ended.result["lost_events"] == 0
    await counts_are(user.standby, stream.sent)
    user.source.druid.kill()
    await stream.send(30)
    await counts_are(user.standby, stream.sent)


async def read_but_not_published(source: Cluster, stream: Stream) -> None:
    await stream.send(20)
    async with asyncio.timeout(90):
        while (await counts(source))[0] != stream.sent:
            await asyncio.sleep(0.3)


async def counts(target: Cluster) -> tuple[int, int, int]:
    """Return the number of rows, of different messages, and the last message."""
    rows = await target.client.sql_or_nothing(ROWS)
    messages = await target.client.sql_or_nothing(MESSAGES)
    if not rows or not messages:
        return (0, 0, 0)
    return (rows[0]["rows"], messages[0]["messages"], rows[0]["last"])


async def counts_are(target: Cluster, sent: int) -> None:
    """Every message exactly once: as many rows as messages, all different, up to the last."""
    found = (0, 0, 0)
    try:
        async with asyncio.timeout(90):
            while (found := await counts(target)) != (sent, sent, sent - 1):
                await asyncio.sleep(0.3)
            await asyncio.sleep(2 * AT_REST_S)
            assert await counts(target) == (sent, sent, sent - 1)
    except TimeoutError:
        raise AssertionError(f"sent {sent}, found {found}") from None
