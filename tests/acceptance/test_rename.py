"""`restore --rename` as its user meets it: beside the live one, and gone again."""

import json

import pytest

from tests.acceptance.test_cli import User, ids, user, working
from tests.servers.postgresql import connected

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
__all__ = ["user"]


async def test_a_dropped_datasource_comes_back_under_another_name(user: User):
    """While a `run` goes on, which notices nothing."""
    await user.cut("1-history", "3-overwrite", "4c-drop", "5-accident")
    assert not await ids(user.target, "orders")
    fast = ("--set", "watch.poll_interval_s=0.1", "--set", "watch.idle_cut_interval_s=0.2")
    running = await user.starts("run", *fast)
    point = ("--to-offset", "19", "--rename", "orders=orders 2")
    dry = await user.types("restore", "standby", *point, "--dry-run", "--json")
    assert (dry.result["done"], dry.result["plan"]["segments"]) == (False, 6), dry.err
    done = await user.types("restore", "standby", *point, "--yes", "--json")
    assert (done.code, done.result["objects_copied"]) == (0, 0), done.err
    assert (await user.types("restore", "standby", *point, "--yes")).code == 4
    found = await ids(user.target, "orders 2")
    async with connected(user.target) as connection:
        rows = await connection.fetch(
            "SELECT id, payload FROM druid_segments WHERE datasource = 'orders 2'"
        )
    for row in rows:
        payload = json.loads(row["payload"])
        assert payload["dataSource"] == "orders 2"
        assert payload.get("identifier", row["id"]) == row["id"]
    assert {row["id"] for row in rows} == found
    await user.play("2-publish")
    await working(running)
    assert (await running.terminate()).code == 0
    assert (await user.types("watch", "--once")).code == 0
    assert (await user.types("apply", "standby", "--once")).code == 0
    assert await ids(user.target, "orders 2") == found
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0
    back = await user.types("restore", "standby", "--to-offset", "19", "--yes")
    assert back.code == 0, back.err
    assert await ids(user.target, "orders 2") == found
    unknown = await user.types("restore", "standby", "--forget-renamed", "orders")
    assert (unknown.code, "it has orders 2" in unknown.err) == (6, True)
    unasked = await user.types("restore", "standby", "--forget-renamed", "orders 2")
    assert (unasked.code, "needs --yes" in unasked.err) == (4, True)
    gone = await user.types("restore", "standby", "--forget-renamed", "orders 2", "--yes")
    assert gone.code == 0, gone.err
    assert not await ids(user.target, "orders 2")
    assert (await user.types("verify", "standby", "--level", "checksum")).code == 0


async def test_words_that_cannot_be_meant_are_refused(user: User):
    await user.cut("1-history")
    point = ("--to-offset", "19", "--yes")
    for rename in ("orders", "=x", "orders=", "orders=orders", "orders=a/b"):
        assert (await user.types("restore", "standby", *point, "--rename", rename)).code == 2
    two = ("--datasource", "wikipedia", "--rename", "orders=x")
    assert (await user.types("restore", "standby", *point, *two)).code == 2
    taken = await user.types("restore", "standby", *point, "--rename", "orders=wikipedia")
    assert (taken.code, "has a datasource 'wikipedia' of its own" in taken.err) == (4, True)
    absent = await user.types("restore", "standby", *point, "--rename", "nothing=x")
    assert absent.code == 6
