"""A real Chromium, and what it must never do: ask elsewhere, complain, or break a policy."""

import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.servers.fetching import MissingToolError, axe, chromium

DESK, PHONE = (1280, 900), (375, 812)
Scheme = Literal["light", "dark"]
Visiting = Callable[[str, str], Awaitable["Visit"]]
WAIT_MS = 60_000
"""Long, as the machine may be busy."""
NONSENSE = re.compile(r"\[object|\bundefined\b|\bNaN\b|Invalid Date")
"""What a page shows that looks at a document for something else."""
GRAVE = {"serious", "critical"}
UNDER = {"promote": "overview"}
"""Views that the navigation does not have, and what leads to them."""


@dataclass
class Visit:
    """One tab of somebody who is signed in."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    async def go(self, view: str) -> None:
        await self.page.evaluate("view => { location.hash = `#/${view}`; }", view)
        name = view.partition("/")[0].partition("?")[0]
        await expect(self.page.locator("nav a[aria-current]")).to_have_attribute(
            "href", f"#/{UNDER.get(name, name)}"
        )

    async def text(self, selector: str) -> str:
        return await self.page.locator(selector).inner_text(timeout=WAIT_MS)

    async def faults(self) -> list[str]:
        """Return what axe-core finds serious or critical."""
        await self.page.evaluate(axe().read_text())
        found: dict[str, Any] = await self.page.evaluate("() => axe.run(document)")
        return [
            f"{one['id']}: {one['help']}: {node['html'][:120]}"
            for one in found["violations"]
            if one["impact"] in GRAVE
            for node in one["nodes"]
        ]

    async def wider(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        width: int = await self.page.evaluate(
            "() => document.documentElement.scrollWidth - innerWidth"
        )
        return max(0, width)

    def is_clean(self) -> None:
        assert (self.complaints, self.strangers) == ([], [])


@asynccontextmanager
async def browsing() -> AsyncIterator[Browser]:
    """Start a Chromium; without one the test is skipped, and fails on CI."""
    try:
        program = chromium()
    except MissingToolError as exc:
        if os.environ.get("CI", "") in {"true", "1"}:
            raise
        pytest.skip(str(exc))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            await browser.close()


async def visit(
    browser: Browser,
    url: str,
    token: str,
    *,
    size: tuple[int, int] = DESK,
    scheme: Scheme = "light",
) -> Visit:
    """Sign in by keyboard alone, as on the first visit."""
    context = await browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
    )
    page = await context.new_page()
    page.set_default_timeout(WAIT_MS)
    made = Visit(page=page, url=url)
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    page.on(
        "console",
        lambda said: made.complaints.append(said.text) if said.type == "error" else None,
    )
    page.on(
        "request",
        lambda asked: None if asked.url.startswith(url) else made.strangers.append(asked.url),
    )
    await page.goto(f"{url}/page/")
    await page.locator("#token").focus()
    await page.keyboard.type(token)
    await page.keyboard.press("Enter")
    await page.locator("#answer").wait_for()
    return made
