"""Somebody who sees the page for the first time: does what it offers, and knows nothing else."""

import asyncio
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Locator, expect

from tests.page.browser import NONSENSE, WAIT_MS, Visit

STEPS_MAX = 10
"""More steps than a restore has."""
LOST = "orders"
"""What the newcomer misses: the demo says that it was dropped."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """What `demo --keep` prints, and leaves running."""

    url: str
    token: str
    folder: Path


@asynccontextmanager
async def demo() -> AsyncIterator[Demo]:
    """Run the demo, and give what it prints: the address of its page, and a token."""
    with tempfile.TemporaryDirectory(prefix="page-demo-") as parent:
        folder = Path(parent) / "demo"
        Path(parent).chmod(0o755)
        said = await replicator("demo", "--keep", "--directory", str(folder))
        try:
            url, token = re.search(r"(http://\S+)/page/", said), re.search(r"drt_\S+", said)
            assert url is not None, said
            assert token is not None, said
            yield Demo(url=url[1], token=token[0], folder=folder)
        finally:
            await replicator("demo", "--stop", "--directory", str(folder))


async def replicator(*arguments: str) -> str:
    """Type a command that must succeed; return what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "replicator", *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, f"replicator {arguments[0]} failed:\n{out.decode()[-2000:]}"
    return out.decode()


async def restores(guest: Visit) -> str:
    """Find a restore, and go on with the one thing that each step offers; return what is said.

    No name of a button is known: the newcomer presses the one that stands out, and types what the
    page asks for.
    """
    page, offered = guest.page, guest.page.locator("main .primary:visible")
    await expect(offered).to_have_count(1, timeout=WAIT_MS)
    await offered.click()
    lost = page.get_by_role("button").filter(has_text=re.compile(f"{LOST}: .* marked unused"))
    await lost.first.click(timeout=WAIT_MS)
    done, ready = page.get_by_role("status"), page.locator("main .primary:visible:enabled")
    asked, has_typed = page.locator("main label", has_text="Type "), False
    for _ in range(STEPS_MAX):
        await ready.or_(done).or_(asked).first.wait_for(timeout=2 * WAIT_MS)
        if await done.count():
            break
        if not has_typed and await asked.count():  # it stands there until the run has begun
            await _types_what_is_asked(asked)
            has_typed = True
        await ready.or_(done).first.wait_for(timeout=2 * WAIT_MS)
        if await done.count():
            break
        step = await page.locator("main").inner_text()
        assert not NONSENSE.search(step), step
        await ready.click()
        await expect(page.locator("main")).not_to_have_text(step, timeout=WAIT_MS)
    assert await page.get_by_role("alert").all_inner_texts() == []
    return await done.inner_text()


async def _types_what_is_asked(label: Locator) -> None:
    name = (await label.inner_text()).split()[1]
    await expect(label.page.locator("main form input")).to_be_focused(timeout=WAIT_MS)
    await label.page.keyboard.type(name)
