"""What else is done on the page of a real service by keyboard alone, and what it shows meanwhile.

Names and holds, an undelete, a restore from a store alone, also without its log, and a failover.
"""

import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.async_api import Browser, expect

from replicator.adapters.scratch.ports import free_ports
from replicator.cli.demo.recording import RecordedDruid, steps
from tests.integration.test_every_cut import settings_file
from tests.page.browser import WAIT_MS, Visit, browsing, visit
from tests.page.druid import StandIn, standing_in
from tests.page.figures import (
    Documents,
    datasources_are,
    drills_are,
    log_is,
    overview_is,
    plan_is,
    points_are,
    schedules_are,
)
from tests.page.restoring import pressed, reached
from tests.servers.postgresql import Postgresql, connected
from tests.servers.process import Processes, Running

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.long,
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser"),
]
HISTORY = ("1-history", "2-publish", "3-overwrite", "4a-stream", "4c-drop", "5-accident")
USED = """
    SELECT datasource, used, count(*), sum((convert_from(payload, 'UTF8')::json->>'size')::bigint)
    FROM druid_segments GROUP BY datasource, used
"""


@dataclass
class Operated:
    """A source with a history, two standbys and an archive, and the service beside them."""

    forks: Processes
    config: Path
    source: str
    token: str
    service: Running
    url: str
    browser: Browser
    druid: StandIn

    async def asked(self, *words: str) -> Any:
        """Return the result that a verb prints."""
        done = await self.forks.run(*words, "--json", "--config", str(self.config), within_s=180)
        return done.result

    async def documents(self) -> Documents:
        return Documents(
            status=await self.asked("status"),
            points=await self.asked("points", "--all", "--limit", "1000"),
            holds=await self.asked("hold", "list"),
            drills=await self.asked("drill", "list"),
        )

    async def guest(self) -> Visit:
        return await visit(self.browser, self.url, self.token)


async def serving(forks: Processes, config: Path) -> tuple[Running, str]:
    service = await forks.start("serve", "--config", str(config))
    await service.says("serving the control API", within_s=120)
    found = re.search(r"url=(http://\S+)", service.err)
    assert found is not None, service.err
    return service, found[1]


@pytest.fixture
async def operated(
    postgresql: Postgresql, tmp_path: Path, forks: Processes
) -> AsyncIterator[Operated]:
    async with (
        postgresql.database() as source,
        postgresql.database() as target,
        postgresql.database() as other,
        standing_in() as druid,
    ):
        config = configured(tmp_path, source, target, other, druid)
        options = ("--config", str(config))
        async with connected(source) as connection:
            recorded = RecordedDruid(
                connection, root=tmp_path / "source", archive=tmp_path / "archive"
            )
            for name in HISTORY:
                await recorded.play(steps()[name])
                for verb in (("watch",), ("apply", "standby"), ("apply", "vault")):
                    assert (await forks.run(*verb, "--once", *options, within_s=120)).code == 0
        for verb in (("drill", "vault"), ("verify", "standby")):
            assert (await forks.run(*verb, "--json", *options, within_s=180)).result["good"]
        made = await forks.run("token", "create", "ada", "--role", "admin", "--json", *options)
        service, url = await serving(forks, config)
        async with browsing() as browser:
            yield Operated(
                forks, config, source, made.result["token"], service, url, browser, druid
            )
        assert (await service.terminate()).code == 0


def configured(folder: Path, source: str, target: str, other: str, druid: StandIn) -> Path:
    config = settings_file(folder, source, target)
    found = yaml.safe_load(config.read_text())
    del found["source"]["deep_storage"]["root_in_load_spec"]
    standby = found["targets"]["standby"]
    standby["druid"] = {"coordinator_url": druid.url}
    login = standby["metadata"]["url"].rpartition("/")[0]
    rescue = standby | {
        "metadata": standby["metadata"] | {"url": f"{login}/{other.rpartition('/')[2]}"},
        "deep_storage": {"type": "local", "root": str(folder / "rescue")},
    }
    found["targets"] |= {
        "rescue": rescue,
        "vault": {"deep_storage": {"type": "local", "root": str(folder / "vault")}},
    }
    for name in ("rescue", "vault"):
        (folder / name).mkdir()
    (port,) = free_ports(1)
    found["web"] = {"status_interval_s": 1, "control": {"listen": f"127.0.0.1:{port}"}}
    found["schedules"] = {"nightly": {"type": "verify", "cron": "0 5 * * *"}}
    config.write_text(json.dumps(found))
    RecordedDruid.unpack(folder / "archive")
    return config


async def test_every_figure_is_that_of_json_and_names_and_holds_are_made_by_keyboard(
    operated: Operated,
):
    guest = await operated.guest()
    await figures_are(guest, operated)
    page = guest.page

    await guest.go("points")
    await pressed(guest, "Name a point …")
    await reached(guest, page.get_by_label("Name", exact=True))
    await page.keyboard.type("before-lunch")
    await page.keyboard.press("Enter")
    await pressed(guest, "Name it")
    await pressed(guest, "Hold before-lunch on vault")
    await reached(guest, page.get_by_label("Reason"))
    await page.keyboard.type("audit of lunch")
    assert await guest.faults() == []
    await page.keyboard.press("Enter")
    await pressed(guest, "Hold it")
    remove = page.get_by_role("button", name="Remove the hold before-lunch on vault")
    await remove.wait_for()
    assert await guest.faults() == []
    await figures_are(guest, operated)
    assert [one["name"] for one in (await operated.asked("hold", "list"))["holds"]] == [
        "before-lunch"
    ]

    await guest.go("points")
    await pressed(guest, "Remove the hold before-lunch on vault")
    await confirmed(guest, "before-lunch", "Remove the hold")
    await expect(page.get_by_text("Nothing is held.")).to_be_visible(timeout=WAIT_MS)
    assert (await operated.asked("hold", "list"))["holds"] == []
    await pressed(guest, "Forget before-lunch on standby")
    await confirmed(guest, "before-lunch", "Forget the name")
    left = page.get_by_role("button", name="Forget before-lunch")
    await expect(left).to_have_count(2, timeout=WAIT_MS)
    guest.is_clean()


async def test_an_accident_is_undeleted_and_a_store_alone_restores(operated: Operated):
    guest = await operated.guest()
    await guest.go("restore")
    await pressed(guest, "Undelete orders")
    await expect(guest.page.locator(".next")).to_contain_text("offset", timeout=WAIT_MS)
    offset = re.search(r"offset (\d+)", await guest.text(".next"))
    assert offset is not None
    asked = ("orders", "--on", "standby", "--to-offset", offset[1], "--dry-run")
    await planned(guest)
    await plan_is(guest, await operated.asked("undelete", *asked))
    await pressed(guest, "Continue")
    await confirmed(guest, "standby", "Undelete on standby")
    await restored(guest)
    assert (await operated.asked("verify", "standby", "--level", "checksum"))["good"]
    rows = await counts(operated, "standby")
    assert rows["orders"] > 0

    newest = (await operated.asked("points", "--from", "vault"))["last"]
    await from_the_vault(guest, "rescue", operated)
    assert (await operated.asked("verify", "rescue", "--level", "checksum"))["cut"] == newest["cut"]
    assert "orders" not in await counts(operated, "rescue")

    assert (await operated.service.terminate()).code == 0
    log = operated.config.with_name("log.sqlite")
    for part in log.parent.glob("log.sqlite*"):
        if part.is_file():
            part.rename(part.with_name(f"lost-{part.name}"))
    operated.service, operated.url = await serving(operated.forks, operated.config)
    again = await operated.guest()
    await from_the_vault(again, "standby", operated)
    assert "orders" not in await counts(operated, "standby")


async def test_a_standby_becomes_the_primary(operated: Operated):
    plan = await operated.asked("failover", "standby", "--dry-run")
    operated.druid.offsets = {one["id"]: one["offsets"] for one in plan["supervisors"]}
    guest = await operated.guest()
    page = guest.page
    await pressed(guest, "Promote …", role="link")
    await reached(guest, page.get_by_label("Promotion, as planned"))
    await page.keyboard.press("ArrowDown")
    await expect(page.get_by_label("Failover")).to_be_checked()
    await pressed(guest, "Make the plan")
    await read_plan(guest)
    shown = await page.locator("main").inner_text()
    for one in plan["supervisors"]:
        assert one["id"] in shown
        assert all(str(offset) in shown for offset in one["offsets"].values())
    assert all(one["name"] in shown for one in plan["not_configured"])
    assert f"offset {plan['offset']}" in shown
    assert await guest.faults() == []
    await pressed(guest, "Continue")
    assert await guest.faults() == []
    await confirmed(guest, "standby", "Make standby the primary")
    said = await guest.text("[role=status]")
    assert said.startswith("standby is a primary at cut")
    assert set(operated.druid.running) == set(operated.druid.offsets)
    status = {one["target"]: one for one in (await operated.asked("status"))["targets"]}
    assert status["standby"]["promoted"]
    guest.is_clean()


async def figures_are(guest: Visit, operated: Operated) -> None:
    """Compare each view with what `--json` prints; nothing is at work meanwhile."""
    await guest.page.reload()
    await guest.page.wait_for_timeout(3_000)  # the service looks again
    said = await operated.documents()
    lags = {one["target"]: one["lag_seconds"] for one in said.status["targets"]}
    await overview_is(guest, said, lag_s=lags)
    await points_are(guest, said)
    await drills_are(guest, said)
    await schedules_are(guest, said.status)
    events = (await operated.asked("log", "--limit", "100000"))["events"]
    await log_is(guest, events[::-1][:100])
    async with connected(operated.source) as connection:
        used = dict[str, list[int]]()
        for name, is_used, segments, size in await connection.fetch(USED):
            held, place = used.setdefault(name, [0, 0, 0, 0]), 0 if is_used else 2
            held[place : place + 2] = [segments, int(size)]
    await datasources_are(guest, {name: tuple(one) for name, one in used.items()}, said.status)  # type: ignore[misc]


async def counts(operated: Operated, target: str) -> Mapping[str, int]:
    """Return how many used segments each datasource of a target has."""
    settings = json.loads(operated.config.read_text())["targets"][target]["metadata"]
    password = Path(settings["password_file"]).read_text()
    dsn = settings["url"].replace("@", f":{password}@", 1)
    async with connected(dsn) as connection:
        rows = await connection.fetch(
            "SELECT datasource, count(*) FROM druid_segments WHERE used GROUP BY datasource"
        )
    return {str(name): int(number) for name, number in rows}


async def planned(guest: Visit) -> None:
    await pressed(guest, re.compile("(Pause and plan|Make the plan)"))
    await read_plan(guest)
    assert await guest.faults() == []


async def read_plan(guest: Visit) -> None:
    """Wait for a plan, or for why there is none."""
    ready, alert = (
        guest.page.get_by_role("button", name="Continue"),
        guest.page.get_by_role("alert"),
    )
    await ready.or_(alert).wait_for(timeout=2 * WAIT_MS)
    assert await alert.all_inner_texts() == []


async def confirmed(guest: Visit, name: str, action: str) -> None:
    """Type the name that has to be typed, and not another one."""
    page = guest.page
    await expect(page.get_by_label("to confirm")).to_be_focused(timeout=WAIT_MS)
    await page.keyboard.type("not-it")
    await expect(page.get_by_role("button", name=action)).to_be_disabled()
    await page.keyboard.press("Control+a")
    await page.keyboard.type(name)
    await expect(page.get_by_role("button", name=action)).to_be_enabled()
    await page.keyboard.press("Enter")


async def restored(guest: Visit) -> None:
    await guest.page.get_by_role("status").wait_for(timeout=2 * WAIT_MS)
    await guest.page.get_by_text("is at cut").wait_for(timeout=2 * WAIT_MS)


async def from_the_vault(guest: Visit, into: str, operated: Operated) -> None:
    await guest.go("restore")
    await pressed(guest, "From a store alone")
    store = guest.page.get_by_label("History and bytes of")
    await reached(guest, store)
    await guest.page.keyboard.type("vault")
    await expect(store).to_have_value("vault")
    target = guest.page.get_by_label("Into")
    await reached(guest, target)
    await guest.page.keyboard.type(into)
    await expect(target).to_have_value(into)
    await pressed(guest, re.compile("the newest cut"))
    assert await guest.faults() == []
    await planned(guest)
    newest = (await operated.asked("points", "--from", "vault"))["last"]["offset"]
    asked = ("plan", "--from", "vault", "--into", into, "--to-offset", str(newest))
    await plan_is(guest, await operated.asked("restore", *asked))
    await pressed(guest, "Continue")
    await confirmed(guest, into, f"Restore {into}")
    await restored(guest)
