"""From the page to a finished restore of a real service, without a mouse or a command line."""

import json
import re
from pathlib import Path

import pytest

from replicator.adapters.scratch.ports import free_ports
from replicator.cli.demo.recording import RecordedDruid, steps
from tests.integration.test_every_cut import settings_file
from tests.page.browser import browsing, visit
from tests.page.figures import plan_is
from tests.page.restoring import restore_by_keyboard
from tests.servers.postgresql import Postgresql, connected
from tests.servers.process import Processes

pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [
    pytest.mark.long,
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.xdist_group("browser"),
]
HISTORY = ("1-history", "2-publish", "3-overwrite", "4a-stream")
ACCIDENT = ("4c-drop", "5-accident")
DROPPED = re.compile(r"orders: \d+ of \d+ marked unused")


async def test_a_dropped_datasource_is_restored_on_the_page_by_keyboard_alone(
    postgresql: Postgresql, tmp_path: Path, forks: Processes
):
    async with postgresql.database() as source, postgresql.database() as target:
        config = _configured(tmp_path, source, target)
        options = ("--config", str(config))
        async with connected(source) as connection:
            druid = RecordedDruid(
                connection, root=tmp_path / "source", archive=tmp_path / "archive"
            )
            for name in HISTORY + ACCIDENT:
                await druid.play(steps()[name])
                for verb in (("watch", "--once"), ("apply", "standby", "--once")):
                    assert (await forks.run(*verb, *options, within_s=120)).code == 0
        made = await forks.run("token", "create", "ada", "--role", "operator", "--json", *options)
        token = made.result["token"]
        service = await forks.start("run", *options)
        await service.says("serving the control API", within_s=120)
        address = re.search(r"url=(http://\S+)|\"url\": ?\"(http[^\"]+)", service.err)
        assert address is not None, service.err
        url = address[1] or address[2]
        async with browsing() as browser:
            guest = await visit(browser, url, token)
            points = (await forks.run("points", "--json", *options)).result["points"]
            drop = [one for one in points if DROPPED.search(one["what"])][-1]
            found = dict[str, list[str]]()

            async def told(step: str) -> None:
                found[step] = await guest.faults()
                if step == "restore-plan":
                    before = str(points[points.index(drop) - 1]["offset"])
                    asked = ("restore", "plan", "standby", "--to-offset", before)
                    await plan_is(guest, (await forks.run(*asked, "--json", *options)).result)

            await restore_by_keyboard(guest, accident=drop["what"], target="standby", told=told)
            assert found == {step: [] for step in found}, "axe-core examines each step"
            said = await guest.text("[role=status]")
            guest.is_clean()
            before = points[points.index(drop) - 1]
            assert said.startswith(f"standby is at cut {before['cut']}")
            checked = await forks.run(
                "verify", "standby", "--level", "checksum", "--json", *options
            )
            assert (checked.code, checked.result["good"]) == (0, True)
            assert checked.result["cut"] == before["cut"]
            await guest.go("jobs")
            jobs = await guest.page.locator("tbody tr th").all_inner_texts()
            assert jobs == ["restore", "restore plan", "pause"]
            assert await guest.faults() == []
        assert (await service.terminate()).code == 0


def _configured(folder: Path, source: str, target: str) -> Path:
    config = settings_file(folder, source, target)
    text = config.read_text().replace("root_in_load_spec: /druid/segments", "")
    (port,) = free_ports(1)
    web = {"status_interval_s": 1, "control": {"listen": f"127.0.0.1:{port}"}}
    config.write_text(f"{text}web: {json.dumps(web)}\n")
    RecordedDruid.unpack(folder / "archive")
    return config
