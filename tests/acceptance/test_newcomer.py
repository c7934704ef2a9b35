"""From the README to a page with a finished restore, without the command line."""

import re
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import expect

from replicator.adapters.machine.clock import SystemClock
from tests.page.browser import WAIT_MS, browsing, visit
from tests.page.newcomer import LOST, demo, replicator, restores

pytestmark = [
    pytest.mark.long,
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser"),
]
PROJECT = Path(__file__).parents[2]


async def test_the_readme_leads_to_a_page_with_a_finished_restore():
    typed = re.search(r"`(make demo KEEP=1)`", (PROJECT / "README.md").read_text())
    assert typed is not None
    shown = subprocess.run(
        [*typed[1].split(), "-n"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert re.search(r"replicator demo.* --keep\b", shown.stdout)
    clock = SystemClock()
    began = clock.now()
    async with demo() as kept, browsing() as browser:
        opened = clock.now()
        guest = await visit(browser, kept.url, kept.token)
        said = await restores(guest)
        ended = clock.now()
        guest.is_clean()
        print(f"{ended - began} in all, {ended - opened} of it on the page")
        cut = re.search(r"is at cut (\d+)\.", said)
        assert cut is not None, said
        config = ("--config", str(kept.folder / "replicator.yaml"), "--json")
        found = await replicator("verify", "standby", "--level", "checksum", *config)
        assert f'"cut":{cut[1]},' in found.replace(" ", "")
        assert '"good":true' in found.replace(" ", "")
        await guest.go("log")
        await expect(guest.page.locator("main")).to_contain_text(LOST, timeout=WAIT_MS)
