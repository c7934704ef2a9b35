"""`restore plan` and `restore run` as their user meets them."""

import json
import shutil

import pytest
import yaml

from tests.acceptance.test_cli import User, ids, killed, user
from tests.servers.postgresql import execute

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
__all__ = ["user"]


async def test_a_plan_is_written_read_and_carried_out_once(user: User):
    await user.cut("1-history", "3-overwrite", "4c-drop", "5-accident")
    path = user.folder / "plan.json"
    priced = ("--set", "prices.currency=EUR", "--set", "prices.storage_gib_month=1000")
    made = await user.types("restore", "plan", "standby", "--to-offset", "19", "-o", str(path))
    assert made.code == 0, made.err
    plan = json.loads(path.read_text())
    assert (plan["schema"], plan["cut"]["cut"], plan["price"]) == ("replicator.plan.v1", 1, None)
    assert plan["by_datasource"]["orders"]["segments"] == 6
    assert (plan["missing_count"], plan["bytes_to_copy"]) == (0, 0)
    assert plan["objects_there"] > 0
    assert not await ids(user.target, "orders")
    unasked = await user.types("restore", "run", str(path))
    assert (unasked.code, "needs --yes" in unasked.err) == (4, True)
    process = await user.starts("restore", "run", str(path), "--yes")
    await killed(process, after_s=0.2)
    done = await user.types("restore", "run", str(path), "--yes", "--json")
    assert (done.code, done.result["done"]) == (0, True), done.err
    assert len(await ids(user.target, "orders")) == 6
    again = await user.types("restore", "run", str(path), "--yes", "--json")
    assert (again.code, again.result["already"]) == (0, True), again.err
    cost = await user.types(
        *("restore", "plan", "standby", "--to-offset", "19", "-o", str(path), *priced, "--json")
    )
    assert cost.result["price"]["currency"] == "EUR"


async def test_a_world_that_has_changed_is_refused_in_words(user: User):
    await user.cut("1-history", "3-overwrite")
    path = user.folder / "plan.json"
    point = ("restore", "plan", "standby", "--to-offset", "19", "-o", str(path))
    assert (await user.types(*point)).code == 0
    await execute(user.target, "DELETE FROM druid_segments WHERE datasource = 'orders'")
    rows = await user.types("restore", "run", str(path), "--yes")
    assert (rows.code, "rows were changed" in rows.err) == (4, True)
    assert (await user.types("repair", "standby", "--yes")).code == 0
    await user.cut("4c-drop")
    moved = await user.types("restore", "run", str(path), "--yes")
    assert (moved.code, "at another cut" in moved.err) == (4, True)
    assert (await user.types(*point)).code == 0
    shutil.copytree(user.folder / "target", user.folder / "elsewhere")
    elsewhere = f"targets.standby.deep_storage.root={user.folder / 'elsewhere'}"
    set_ = await user.types("restore", "run", str(path), "--yes", "--set", elsewhere)
    assert (set_.code, "configuration of the storages" in set_.err) == (4, True)
    assert (await user.types("restore", "run", str(user.config), "--yes")).code == 2
    assert (await user.types("restore", "run", str(user.folder / "none"), "--yes")).code == 2


STRAY = """
CREATE TEMP TABLE stray AS SELECT * FROM druid_segments WHERE datasource = 'orders' LIMIT 1;
UPDATE stray SET id = replace(id, 'orders', 'strays'), datasource = 'strays';
INSERT INTO druid_segments SELECT * FROM stray;
DROP TABLE stray
"""


async def test_what_a_dry_run_did_not_show_is_not_done(user: User):
    """The same number of other rows is something else, too: counts alone would not tell."""
    await user.cut("1-history", "3-overwrite")
    repair: tuple[str, ...] = ("repair", "standby")
    back: tuple[str, ...] = ("restore", "standby", "--to-offset", "19")
    await execute(user.target, STRAY)
    shown = dict[tuple[str, ...], str]()
    for words in (repair, back):
        looked = await user.types(*words, "--dry-run", "--json")
        assert "expect" in looked.result, looked.err
        shown[words] = looked.result["expect"]
    await execute(
        user.target, "UPDATE druid_segments SET id = id || '_1' WHERE datasource = 'strays'"
    )
    for words, expect in shown.items():
        refused = await user.types(*words, "--yes", "--expect", expect)
        assert (refused.code, "something else now: rows to remove" in refused.err) == (4, True)
        assert len(await ids(user.target, "strays")) == 1
    assert (await user.types(*repair, "--yes", "--expect", "nonsense")).code == 2
    now = (await user.types(*repair, "--dry-run", "--json")).result["expect"]
    done = await user.types(*repair, "--yes", "--expect", now)
    assert (done.code, len(await ids(user.target, "strays"))) == (0, 0), done.err


async def test_what_is_nowhere_any_more_is_named_unless_nobody_looks(user: User):
    await user.cut("1-history")
    for root in ("source", "target"):
        victim = sorted((user.folder / root).rglob("00000.smoosh"))[0].parent
        shutil.rmtree(victim)
    await execute(user.target, "DELETE FROM druid_segments")
    path = user.folder / "plan.json"
    point = ("restore", "plan", "standby", "--to-offset", "19", "-o", str(path), "--json")
    looked = await user.types(*point)
    assert (looked.code, looked.result["missing_count"]) == (0, 1), looked.err
    blind = await user.types(*point, "--no-look")
    assert (blind.result["looked"], blind.result["missing_count"]) == (False, 0)
    assert blind.result["bytes_to_copy"] > 0
    assert (await user.types("restore", "run", str(path), "--yes")).code == 11


async def test_verbs_are_no_names_of_targets(user: User):
    found = yaml.safe_load(user.config.read_text())
    found["targets"]["plan"] = found["targets"].pop("standby")
    user.config.write_text(yaml.safe_dump(found))
    said = await user.types("config", "validate")
    assert (said.code, "is a verb" in said.err) == (2, True)
