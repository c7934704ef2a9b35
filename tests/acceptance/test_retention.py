"""Named points, holds and expiry as their user meets them, on PostgreSQL and a local store."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.acceptance.test_cli import User, ids, killed, user
from tests.rings import times
from tests.servers.postgresql import execute
from tests.servers.process import Ended

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

KILLED_AFTER_S = [0.1 * number for number in range(1, times(2, 10) + 1)]
STEPS = ("1-history", "2-publish", "3-overwrite", "4c-drop", "5-accident")


async def story(user: User) -> list[int]:
    """Each step in a cut of its own, and a base of each; then one more cut."""
    offsets = []
    for step in STEPS:
        await user.cut(step)
        said = await user.types("points", "--all", "--json")
        offsets.append(said.result["last"]["offset"])
        held = await user.types(
            *("hold", "create", f"base-{len(offsets)}", "--on", "standby", "--reason", "a base"),
            *("--to-offset", str(offsets[-1])),
        )
        assert held.code == 0, held.err
        removed = await user.types(
            "hold", "remove", f"base-{len(offsets)}", "--on", "standby", "--yes"
        )
        assert removed.code == 0
    await execute(
        user.source,
        "UPDATE druid_segments SET used_status_last_updated = '2031-01-01T00:00:00.000Z'"
        " WHERE id = (SELECT min(id) FROM druid_segments)",
    )
    assert (await user.types("watch", "--once")).code == 0
    assert (await user.types("apply", "standby", "--once")).code == 0
    return offsets


def objects(folder: Path) -> set[str]:
    root = folder / "target"
    return {
        str(path.parent.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and not path.relative_to(root).parts[0].startswith((".", "_"))
    }


async def expire(user: User, *args: str) -> Ended:
    return await user.types("expire", "standby", *args, "--json")


async def named_and_held(user: User) -> list[int]:
    offsets = await story(user)
    named = await user.types("points", "create", "before-the-drop", "--to-offset", str(offsets[2]))
    assert named.code == 0, named.err
    again = await user.types("points", "create", "before-the-drop", "--to-offset", str(offsets[1]))
    assert again.code == 4
    assert "exists" in again.err
    held = await user.types(
        *("hold", "create", "first", "--on", "standby", "--to-offset", str(offsets[0])),
        *("--reason", "year end", "--json"),
    )
    assert (held.code, held.result["offset"], held.result["in_force"]) == (0, offsets[0], True)
    return offsets


async def test_what_has_expired_is_gone_and_what_is_held_can_be_restored(user: User):
    offsets = await named_and_held(user)
    for_ever = await expire(user)
    assert for_ever.code == 4
    assert "retention is not set" in for_ever.result["message"]

    before = objects(user.folder)
    plan = await expire(user, "--retention", "1ms", "--dry-run")
    assert (plan.code, plan.result["done"]) == (0, False)
    assert plan.result["plan"]["horizon"] == offsets[-1]
    assert plan.result["plan"]["holds"] == ["first"]
    assert plan.result["plan"]["storage"]["orphans"] == []
    unasked = await user.types("expire", "standby", "--retention", "1ms")
    assert unasked.code == 4
    assert "needs --yes" in unasked.err
    assert objects(user.folder) == before
    done = await expire(user, "--retention", "1ms", "--yes")
    assert done.code == 0, done.err
    assert done.result["files_removed"] > 0
    gone = before - objects(user.folder)
    assert done.result["removed"] == plan.result["plan"]["locations"] == len(gone)
    of = [location.split("/")[0] for location in gone]
    assert plan.result["plan"]["datasources"] == {name: of.count(name) for name in of}
    assert all(f"{of.count(name)} of {name}" in unasked.out for name in of), unasked.out
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0

    await look_for_points(user, offsets)
    back = await user.types("restore", "standby", "--to-point", "first", "--yes")
    assert back.code == 0, back.err
    assert len(await ids(user.target, "orders")) == 6
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0

    assert (await user.types("hold", "remove", "first", "--on", "standby", "--yes")).code == 0
    kept = await expire(user, "--retention", "1ms", "--yes")
    assert kept.result["plan"]["locations"] == 0, "the target stands there"
    assert (await user.types("apply", "standby", "--once", "--resume", "--yes")).code == 0
    last = await expire(user, "--retention", "1ms", "--yes")
    assert last.result["removed"] > 0
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0
    assert (await user.types("points", "remove", "before-the-drop")).code == 0


async def look_for_points(user: User, offsets: list[int]) -> None:
    expired = await user.types("restore", "standby", "--to-point", "before-the-drop", "--yes")
    assert expired.code == 11
    assert f"nearest that can be restored are offset {offsets[0]}" in expired.err
    listed = (await user.types("points", "--json")).result["targets"][0]
    assert [one["expired"] for one in listed["named"]] == [True]
    assert [one["name"] for one in listed["held"]] == ["first"]
    assert [one["first"]["offset"] for one in listed["windows"]] == [offsets[-1]]


async def test_orphans_are_found_and_removed_when_asked(user: User):
    """Here they come from a segment whose history was taken away by hand."""
    await user.cut("1-history")
    root = user.folder / "target"
    aside = user.folder / "aside"
    (root / "_replicator").rename(aside)
    assert (await expire(user, "--retention", "30d")).code == 6
    aside.rename(root / "_replicator")
    foreign = root / "somebody" / "else.txt"
    foreign.parent.mkdir()
    foreign.write_text("not ours")
    victim = sorted(root.rglob("00000.smoosh"))[0].parent
    stray = root / "stray" / "index"
    shutil.copytree(victim, stray)
    found = await expire(user, "--retention", "30d", "--orphans", "--yes")
    storage = found.result["plan"]["storage"]
    assert (found.code, storage["orphans"], storage["objects"]) == (0, [], 0)
    assert storage["foreign"] > 1, "what has no receipt is not ours, whatever it looks like"
    assert victim.exists()
    assert stray.exists()


@pytest.mark.long
async def test_two_at_once(user: User):
    await story(user)
    args = ("expire", "standby", "--retention", "1ms", "--yes", "--json")
    said = await asyncio.gather(user.types(*args), user.types(*args))  # noqa: TID251 - a test
    codes = sorted(one.code for one in said)
    assert codes in ([0, 0], [0, 7]), [one.out for one in said]
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0


async def test_killed_in_the_middle_it_is_finished_by_the_next(user: User):
    """SIGKILL at random moments; the lease is short so that nobody waits long."""
    await story(user)
    short = (
        *("--set", "targets.standby.expiry.lease=2s", "--set", "targets.standby.expiry.margin=1s"),
        *("--set", "targets.standby.expiry.clock_skew_max=0.1s"),
    )
    for delay_s in KILLED_AFTER_S:
        process = await user.starts("expire", "standby", "--retention", "1ms", "--yes", *short)
        await killed(process, after_s=delay_s)
        assert (await user.types("verify", "standby", "--level", "checksum")).code == 0
    while (said := await expire(user, "--retention", "1ms", "--yes", *short)).code == 7:
        await asyncio.sleep(0.2)
    assert said.code == 0, said.out
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0
    last = json.loads((await expire(user, "--retention", "1ms", "--dry-run")).out)
    assert last["result"]["plan"]["locations"] == 0
