"""The page in a real Chromium: what is shown equals the documents, for whoever looks, however."""

from collections.abc import AsyncIterator

import orjson
import pytest
from playwright.async_api import Browser, expect

from replicator.model.operations.shown import printable
from replicator.model.row import Segment
from replicator.services.inspection.log_listing import event_json
from tests.page.browser import DESK, PHONE, WAIT_MS, Scheme, Visit, browsing, visit
from tests.page.figures import (
    Document,
    Documents,
    datasources_are,
    drills_are,
    log_is,
    overview_is,
    points_are,
    schedules_are,
)
from tests.page.made_up import MadeUp, documents, made_up, printed
from tests.page.made_up_log import HOSTILE
from tests.page.serving import TOKEN, serving
from tests.rings import times

pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("browser")]

CUTS, DATASOURCES = times(gate=1_000, long=100_000), 200
EVENTS = 100
"""Of one page of the log."""
VIEWS = ("overview", "datasources", "log", "points", "restore", "promote", "drills", "upkeep")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as found:
        yield found


async def test_one_look_answers_and_what_is_shown_is_what_the_documents_say(browser: Browser):
    """200 datasources, one with a hostile name, on a desk; then the same on a phone in the dark."""
    made = await made_up(cuts=CUTS, datasources=DATASOURCES)
    async with serving(made) as url:
        await _wrong_token_is_refused(browser, url)
        guest = await visit(browser, url, TOKEN)
        said = documents(made)
        await overview_is(guest, said, lag_s={"standby": 4.0, "vault": 184.0})
        await _datasources_are_shown(guest, made, said)
        await log_is(guest, _newest(made))
        await points_are(guest, said)
        await drills_are(guest, said)
        await schedules_are(guest, said.status)
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


def _newest(made: MadeUp) -> list[Document]:
    """Return the newest events as `log --json` prints them."""
    cuts = range(made.log.cuts, max(0, made.log.cuts - EVENTS), -1)
    records = [one for cut in cuts for one in reversed(list(made.log.records(cut)))][:EVENTS]
    newest: list[Document] = printed([event_json(made.history.entry(one)) for one in records])
    return newest


async def _datasources_are_shown(guest: Visit, made: MadeUp, said: Documents) -> None:
    """Compare with the rows themselves: no verb counts the segments of a datasource."""
    rows = dict[str, Segment]()
    for cut in range(1, made.log.cuts + 1):
        rows |= {row.id: row for row, _ in made.log.rows(cut)}
    held = dict[str, list[int]]()
    for row in rows.values():
        one, place = held.setdefault(row.datasource, [0, 0, 0, 0]), 0 if row.used else 2
        one[place] += 1
        one[place + 1] += orjson.loads(row.payload)["size"]
    used = {name: (a, b, c, d) for name, (a, b, c, d) in held.items()}
    await datasources_are(guest, used, said.status)
    assert printable(HOSTILE) in await guest.text("tbody")
    await guest.page.get_by_label("Find a datasource").fill("_00")
    await expect(guest.page.locator("tbody tr")).to_have_count(10)


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
