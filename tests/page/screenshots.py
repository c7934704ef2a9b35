"""Takes the pictures of the page for the documentation: `make screenshots`.

The overview and the lists show a large made-up state; the steps of a restore, its result and the
jobs are those of the demo.
"""

import asyncio
import json
import re
from pathlib import Path

from playwright.async_api import Browser, Route

from replicator.model.operations.access import Principal, Role
from tests.page.browser import PHONE, WAIT_MS, Scheme, Visit, browsing, visit
from tests.page.made_up import made_up
from tests.page.newcomer import Demo, demo
from tests.page.restoring import restore_by_keyboard
from tests.page.serving import TOKEN, serving

IMAGES = Path(__file__).parents[2] / "docs" / "images"
BYTES_MAX = 180_000
CUTS, DATASOURCES = 100_000, 200
SETTLED_MS = 1_500
"""Charts are drawn once their columns have come."""
WIDE, TALL = (1280, 1080), (1280, 720)
TARGET = "standby"
EXPIRY = {
    "digest": "0" * 64,
    "document": {
        "done": False,
        "plan": {
            "oldest_before": {
                "cut": 5_000, "offset": 39_999, "source_time": "2026-10-28T12:19:56Z",
            },
            "oldest_after": {
                "cut": 13_600, "offset": 108_799, "source_time": "2026-10-31T12:00:56Z",
            },
            "locations": 1_204, "kept_locations": 66_812, "history_files": 31, "bases": 2,
            "holds": ["audit-2026"],
            "storage": {"bytes": 41 << 30, "orphans": [], "orphan_bytes": 0},
        },
    },
}  # fmt: skip
ADMIN = Principal(name="ada", role=Role.ADMIN)


async def main() -> None:
    """Take all pictures, and say how large each is."""
    IMAGES.mkdir(exist_ok=True)
    async with browsing() as browser:
        made = await made_up(cuts=CUTS, datasources=DATASOURCES)
        async with serving(made, ADMIN) as url:
            await _made_up(browser, url)
        async with demo() as kept:
            await _restore(browser, kept)
    for path in sorted(IMAGES.glob("page-*.png")):
        size_bytes = path.stat().st_size
        print(f"{path.name}: {size_bytes / 1000:.0f} kB")
        if size_bytes > BYTES_MAX:
            raise SystemExit(f"{path.name} is larger than {BYTES_MAX / 1000:.0f} kB")


async def _made_up(browser: Browser, url: str) -> None:
    async def shown(name: str, view: str, size: tuple[int, int], scheme: Scheme) -> Visit:
        guest = await visit(browser, url, TOKEN, size=size, scheme=scheme)
        await guest.go(view)
        await taken(guest, name)
        return guest

    await shown("overview", "overview", WIDE, "light")
    await shown("overview-dark", "overview", WIDE, "dark")
    await shown("phone", "overview", PHONE, "light")
    await shown("datasources", "datasources", TALL, "light")
    await shown("log", "log?datasource=datasource_042", TALL, "light")
    await shown("points", "points", TALL, "light")
    await shown("points-phone", "points", PHONE, "dark")
    await shown("upkeep", "upkeep?work=repair", TALL, "light")
    await shown("upkeep-phone", "upkeep?work=expire", PHONE, "dark")
    await _expiry(await visit(browser, url, TOKEN, size=(1280, 560)))
    guest = await visit(browser, url, TOKEN, size=TALL)
    await guest.go("drills")
    await guest.page.locator("summary").first.click()
    await taken(guest, "drills")
    guest = await visit(browser, url, TOKEN, size=(1280, 780))
    await guest.go("restore")
    await guest.page.get_by_role("button", name="On the timeline").click()
    await guest.page.get_by_role("button", name="release-42").first.click()
    await taken(guest, "restore-timeline")


async def _expiry(guest: Visit) -> None:
    """Show a plan that nobody has to wait a month for."""

    async def planned(route: Route) -> None:
        await route.fulfill(body=json.dumps(EXPIRY), content_type="application/json")

    await guest.page.route("**/v1/plans", planned)
    await guest.go("upkeep?work=expire")
    await guest.page.get_by_role("button", name="Make the plan").click()
    await guest.page.get_by_role("button", name="Continue").wait_for(timeout=WAIT_MS)
    await taken(guest, "upkeep-plan")


async def _restore(browser: Browser, kept: Demo) -> None:
    guest = await visit(browser, kept.url, kept.token, size=(1280, 600))

    async def told(name: str) -> None:
        await taken(guest, name)

    accident = re.compile("orders: 6 of 6 marked unused")
    await restore_by_keyboard(guest, accident=accident, target=TARGET, told=told)
    await guest.go("jobs")
    await taken(guest, "jobs")
    await guest.go("restore")
    await guest.page.get_by_role("button", name="From a store alone").click()
    await guest.page.get_by_role("button", name="the newest cut").click()
    await taken(guest, "restore-store")


async def taken(guest: Visit, name: str) -> None:
    """Take a picture of what is in the window."""
    await guest.page.wait_for_timeout(SETTLED_MS)
    await guest.page.screenshot(path=IMAGES / f"page-{name}.png", animations="disabled")
    guest.is_clean()


if __name__ == "__main__":
    asyncio.run(main())
