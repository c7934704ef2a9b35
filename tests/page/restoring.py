"""A restore on the page, by keyboard alone: for the tests, and for the pictures of its steps."""

from collections.abc import Awaitable, Callable
from re import Pattern
from typing import Literal

from playwright.async_api import Locator, expect

from tests.page.browser import WAIT_MS, Visit

STEPS_MAX = 200
"""More presses of the tab key than any view takes."""
Told = Callable[[str], Awaitable[None]]


async def nothing(_: str) -> None:
    """Take no picture."""


async def reached(guest: Visit, wanted: Locator) -> Locator:
    """Press the tab key until something has the focus, as somebody without a mouse does."""
    await wanted.wait_for()
    for _ in range(STEPS_MAX):
        if await wanted.evaluate("one => one === document.activeElement"):
            return wanted
        await guest.page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} cannot be reached by keyboard")


async def pressed(
    guest: Visit, name: str | Pattern[str], *, role: Literal["button", "link"] = "button"
) -> None:
    """Reach a control by its name and press enter on it."""
    wanted = guest.page.get_by_role(role, name=name).first
    await expect(wanted).to_be_enabled(timeout=WAIT_MS)
    await reached(guest, wanted)
    await guest.page.keyboard.press("Enter")


async def restore_by_keyboard(
    guest: Visit, *, accident: str | Pattern[str], target: str, told: Told = nothing
) -> None:
    """Choose an accident, read the plan, type the target's name, and wait for the end."""
    page = guest.page
    await pressed(guest, "Restore …", role="link")
    await pressed(guest, accident)
    follows = page.get_by_role("button", name="Pause and plan")
    await expect(follows.or_(page.get_by_role("button", name="Make the plan"))).to_be_enabled()
    await told("restore-moment")
    await pressed(guest, "plan")
    await page.get_by_role("button", name="Continue").wait_for(timeout=2 * WAIT_MS)
    await told("restore-plan")
    await pressed(guest, "Continue")
    await expect(page.get_by_label("to confirm")).to_be_focused()
    await page.keyboard.type("not-it")
    confirm = page.get_by_role("button", name=f"Restore {target}")
    await expect(confirm).to_be_disabled()
    await page.keyboard.press("Control+a")
    await page.keyboard.type(target)
    await expect(confirm).to_be_enabled()
    await told("restore-confirm")
    await page.keyboard.press("Enter")
    await page.get_by_role("status").wait_for(timeout=2 * WAIT_MS)
    await told("restore-done")
