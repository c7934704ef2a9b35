"""The page in a real Chromium: what is shown equals the documents, for whoever looks, however."""

import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from playwright.async_api import Browser, expect

from replicator.model.shown import printable
from replicator.model.words import counted, size_text
from tests.page.browser import DESK, PHONE, WAIT_MS, Scheme, Visit, browsing, visit
from tests.page.made_up import MadeUp, made_up
from tests.page.made_up_log import HOSTILE
from tests.page.serving import TOKEN, serving
from tests.rings import times

pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("browser")]

CUTS, DATASOURCES = times(gate=1_000, long=100_000), 200
VIEWS = ("overview", "datasources", "log", "restore", "drills")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as found:
        yield found


async def asked(url: str, path: str) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.get(f"{url}/v1/page/{path}") as answer,
    ):
        found: dict[str, object] = json.loads(await answer.read())
        return found


async def test_one_look_answers_and_what_is_shown_is_what_the_documents_say(browser: Browser):
    """200 datasources, one with a hostile name, on a desk; then the same on a phone in the dark."""
    made = await made_up(cuts=CUTS, datasources=DATASOURCES)
    async with serving(made) as url:
        await _wrong_token_is_refused(browser, url)
        guest = await visit(browser, url, TOKEN)
        await _overview_is_shown(guest, made)
        await _datasources_are_shown(guest, await asked(url, "overview"))
        await _log_is_shown(guest, await asked(url, "log"))
        assert await guest.page.title() != "1", "a name was taken for markup"
        guest.is_clean()
        phone = await visit(browser, url, TOKEN, size=PHONE, scheme="dark")
        assert await phone.wider() == 0
        assert await phone.faults() == []
        phone.is_clean()


async def _wrong_token_is_refused(browser: Browser, url: str) -> None:
    page = await browser.new_page()
    await page.goto(f"{url}/page/")
    await page.fill("#token", "drt_wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_contain_text("the token is wrong", timeout=WAIT_MS)
    await page.close()


async def _overview_is_shown(guest: Visit, made: MadeUp) -> None:
    report = made.panorama.report
    assert report is not None
    answer = await guest.text("#answer")
    last = made.log.closed(CUTS).closed.source_time
    assert answer.startswith(f"Yes, you can restore to {last:%Y-%m-%d %H:%M:%S}")
    wrong = await guest.page.locator(".wrong li > span").all_inner_texts()
    assert wrong == [printable(one.what) for one in report.wrong]
    broken = await guest.page.locator(".promises tr.broken th").all_inner_texts()
    assert broken == ["lag"]
    cards = await guest.page.locator(".target h3 bdi").all_inner_texts()
    assert cards == ["standby", "vault"]


async def _datasources_are_shown(guest: Visit, overview: dict[str, object]) -> None:
    await guest.go("datasources")
    rows = guest.page.locator("tbody tr")
    await expect(rows).to_have_count(DATASOURCES)
    shown = await rows.evaluate_all(
        "rows => rows.map(row => [...row.children].slice(0, 3).map(cell => cell.innerText.trim()))"
    )
    datasources = overview["datasources"]
    assert isinstance(datasources, list)
    assert shown == [
        [
            printable(one["datasource"]),
            f"{one['segments']:,}".replace(",", "\u202f"),
            size_text(one["bytes"]),
        ]
        for one in datasources
    ]
    assert printable(HOSTILE) in {row[0] for row in shown}
    total = counted(DATASOURCES, "datasource")
    assert total in await guest.text("main")
    await guest.page.get_by_label("Find a datasource").fill("_00")
    await expect(rows).to_have_count(10)


async def _log_is_shown(guest: Visit, log: dict[str, object]) -> None:
    await guest.go("log")
    rows = guest.page.locator("tbody tr")
    events = log["events"]
    assert isinstance(events, list)
    await expect(rows).to_have_count(len(events))
    shown = await rows.evaluate_all("rows => rows.map(row => row.children[0].innerText.trim())")
    assert shown == [str(one["offset"]) for one in events]


@pytest.mark.long
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESK, PHONE])
async def test_nothing_keeps_anybody_from_using_a_view(
    browser: Browser, size: tuple[int, int], scheme: Scheme
):
    made = await made_up(cuts=5_000, datasources=DATASOURCES)
    async with serving(made) as url:
        guest = await visit(browser, url, TOKEN, size=size, scheme=scheme)
        found = dict[str, list[str]]()
        for view in VIEWS:
            await guest.go(view)
            await guest.page.locator("h1").first.wait_for(timeout=WAIT_MS)
            await guest.page.wait_for_load_state("networkidle")
            found[view] = await guest.faults()
            assert (view, await guest.wider()) == (view, 0)
        assert found == {view: [] for view in VIEWS}
        guest.is_clean()


@pytest.mark.long
async def test_the_timeline_is_used_by_keyboard_alone(browser: Browser):
    made = await made_up(cuts=5_000, datasources=20)
    async with serving(made) as url:
        guest = await visit(browser, url, TOKEN)
        page, log = guest.page, made.log
        await page.get_by_label("Moment").focus()
        await page.keyboard.press("End")
        await page.keyboard.press("ArrowLeft")
        chosen = page.locator(".chosen .cut")
        await expect(chosen).to_contain_text("cut 4")
        await page.get_by_label("next cut").focus()
        while await page.get_by_label("next cut").is_enabled():
            before = await chosen.inner_text()
            await page.keyboard.press("Enter")
            await expect(chosen).not_to_have_text(before)
        last = log.closed(5_000)
        await expect(chosen).to_contain_text(f"offset {last.offset}")
        await page.get_by_role("button", name="hold audit-2026").first.press("Enter")
        held = log.closed(2_500)
        await expect(chosen).to_contain_text(f"offset {held.offset}")
        guest.is_clean()
