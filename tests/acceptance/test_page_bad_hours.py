"""The page when something is away, slow, ended or too much: it says what happened, what to do."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Browser, Route, expect

from replicator.errors import TransientError
from replicator.model.operations.access import Principal, Role
from replicator.services.monitoring.poller import Failure
from tests.page.browser import PHONE, WAIT_MS, Visit, browsing, visit
from tests.page.made_up import broken, made_up, many_targets, no_targets, without_log
from tests.page.made_up_log import NOW
from tests.page.serving import TOKEN, serving

pytestmark = [pytest.mark.real, pytest.mark.timeout(900), pytest.mark.xdist_group("browser")]
ADMIN = Principal(name="ada", role=Role.ADMIN)
OVERVIEW = "**/v1/page/overview"
LOOK = "document.dispatchEvent(new Event('visibilitychange'))"
"""Let the page look now, as it does when its tab comes to the front, and not seconds later."""
RUNNING: dict[str, Any] = {
    "id": "a1", "verb": "restore", "request": {"verb": "restore"}, "targets": ["standby"],
    "by": "ada", "state": "running", "created_at": "2026-11-30T12:00:00Z",
    "started_at": "2026-11-30T12:00:00Z", "ended_at": None, "exit_code": None, "why": "",
    "progress": {"what": "copy", "done": 5, "total": 10, "unit": "objects", "eta_seconds": 3.0},
    "plan": "0" * 64, "again": None, "document": None,
}  # fmt: skip
AWAY: dict[str, Any] = {}
ENDED = RUNNING | {"state": "interrupted", "why": "the service ended while it ran"}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with browsing() as found:
        yield found


async def answered(route: Route, document: object, status: int = 200) -> None:
    await route.fulfill(status=status, body=json.dumps(document), content_type="application/json")


async def test_a_service_that_is_slow_or_away_is_said_and_what_was_seen_stays(browser: Browser):
    """Answers that take longer than the time between two looks are shown all the same."""
    made = await made_up(cuts=40, datasources=3)
    async with serving(made) as url:
        guest = await visit(browser, url, TOKEN)
        page = guest.page
        may_answer = asyncio.Event()

        async def slow(route: Route) -> None:
            await may_answer.wait()
            await route.continue_()

        await page.route(OVERVIEW, slow)
        await page.evaluate(LOOK)
        await expect(page.get_by_text("The service is slow")).to_be_visible(timeout=WAIT_MS)
        await expect(page.locator("#answer")).to_contain_text(
            "Yes, you can restore to", timeout=WAIT_MS
        )
        may_answer.set()
        await expect(page.get_by_text("The service is slow")).to_be_hidden(timeout=WAIT_MS)
        await page.unroute(OVERVIEW)
        await page.route(OVERVIEW, lambda route: route.abort())
        await page.evaluate(LOOK)
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("the service cannot be reached", timeout=WAIT_MS)
        await expect(alert).to_contain_text("What you see is from")
        await expect(alert).to_contain_text("see whether replicator run or serve is running")
        await expect(page.locator("#answer")).to_contain_text(
            "Yes, you can restore to", timeout=WAIT_MS
        )
        await page.unroute(OVERVIEW)
        await page.evaluate(LOOK)
        await expect(alert).to_be_hidden(timeout=WAIT_MS)


@pytest.mark.long
async def test_a_run_is_followed_through_a_restart_and_an_expired_token(browser: Browser):
    made = await made_up(cuts=40, datasources=3)
    async with serving(made) as url:
        guest = await visit(browser, url, TOKEN)
        page, answer = guest.page, [RUNNING]

        async def job(route: Route) -> None:
            if answer[-1] is AWAY:
                await route.abort()
            else:
                await answered(route, answer[-1], answer[-1].get("status", 200))

        await page.route("**/v1/jobs/a1?*", job)
        await guest.go("restore/a1?into=standby")
        await expect(page.locator(".progress")).to_contain_text("copy 5 of 10", timeout=WAIT_MS)
        answer.append(AWAY)
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("the service cannot be reached", timeout=WAIT_MS)
        await expect(page.locator(".progress")).to_contain_text("copy 5 of 10")
        answer.append({"detail": "the token has expired", "status": 401})
        await expect(alert).to_contain_text("sign in again", timeout=WAIT_MS)
        answer.append(ENDED)
        await page.fill("#token", TOKEN)
        await page.keyboard.press("Enter")
        await expect(alert).to_contain_text("the service ended while it ran", timeout=WAIT_MS)
        await expect(alert).to_contain_text("it goes on from there")
        await page.get_by_role("link", name="Plan again").wait_for()


@pytest.mark.long
async def test_of_two_tabs_the_second_is_led_to_the_job_of_the_first(browser: Browser):
    made = await made_up(cuts=40, datasources=3)
    async with serving(made, ADMIN) as url:
        guest = await visit(browser, url, TOKEN)
        page = guest.page
        busy = {
            "detail": "job a1 (restore, running) is changing target 'standby'",
            "hint": "wait for its end, or cancel it",
            "job_id": "a1",
            "status": 409,
        }
        await page.route("**/v1/jobs", lambda route: answered(route, busy, 409))
        await guest.go("upkeep")
        await page.get_by_label("Lock").check()
        await page.get_by_role("button", name="Lock").click()
        await expect(page.get_by_role("alert")).to_contain_text(
            "is changing target", timeout=WAIT_MS
        )
        link = page.get_by_role("link", name="Look at that job")
        await expect(link).to_have_attribute("href", "#/jobs/a1", timeout=WAIT_MS)


async def shown(browser: Browser, url: str, *, size: tuple[int, int] = PHONE) -> Visit:
    guest = await visit(browser, url, TOKEN, size=size)
    assert (await guest.faults(), await guest.wider()) == ([], 0)
    return guest


@pytest.mark.long
async def test_without_log_or_targets_and_with_very_many_it_says_what_can_be_done(
    browser: Browser,
):
    made = await made_up(cuts=40, datasources=3)
    without_log(made)
    broken(made.panorama, Failure(since=NOW, error=TransientError("refused", hint="is it up?")))
    async with serving(made, ADMIN) as url:
        guest = await shown(browser, url)
        wrong = guest.page.locator(".wrong")
        await expect(wrong).to_contain_text("the log cannot be read: the broker at kafka:9092")
        away = guest.page.locator("article.target", has_text="vault")
        await expect(away).to_contain_text("not reached since")
        await expect(away).to_contain_text("is it up?")
        await guest.go("restore")
        pressed = guest.page.get_by_role("button", name="From a store alone")
        await expect(pressed).to_have_attribute("aria-pressed", "true", timeout=WAIT_MS)
    made = await made_up(cuts=40, datasources=3)
    many_targets(made, 200)
    async with serving(made, ADMIN) as url:
        guest = await shown(browser, url)
        await expect(guest.page.locator("article.target")).to_have_count(25)
        assert "away" in await guest.text("article.target >> nth=0"), "what is wrong comes first"
        await guest.page.get_by_role("button", name="Show all 200").last.click()
        await expect(guest.page.locator("article.target")).to_have_count(200)
    made = await made_up(cuts=40, datasources=3)
    no_targets(made)
    async with serving(made, ADMIN) as url:
        guest = await shown(browser, url)
        await expect(guest.page.locator("main")).to_contain_text("No target is configured")
        for view in ("restore", "promote", "upkeep"):
            await guest.go(view)
            await expect(guest.page.locator(".empty").first).to_be_visible(timeout=WAIT_MS)
