"""What the demo says when the machine, or its own `replicator run`, does not keep up."""

import asyncio
import sys
from io import StringIO
from pathlib import Path
from typing import cast

import asyncpg
import pytest
from rich.console import Console

from replicator.cli.demo import kept_page, story
from replicator.cli.demo.kept_page import PID_FILE, keep_page
from replicator.cli.demo.recording import RecordedDruid, Step
from replicator.cli.demo.sandbox import RUN_LOG, DemoError, Stage
from replicator.cli.demo.story import Story


class Silent:
    """A Druid that plays a step, of which nothing arrives."""

    async def play(self, step: Step) -> None:
        pass


class Behind(Stage):
    """A stage whose standby never follows, and whose page never answers."""

    async def is_followed(self) -> bool:
        return False

    async def ask(self, *args: str, may_exit: tuple[int, ...] = (0,)) -> dict[str, object]:
        return {"token": "t"}

    def command(self, *args: str) -> list[str]:
        waits = "import time; time.sleep(60)"
        return [sys.executable, "-c", waits, str(self.config)]


@pytest.fixture
def behind(tmp_path: Path) -> Behind:
    (tmp_path / RUN_LOG).write_text("the standby waits for its disk\n")
    nobody = cast(asyncpg.Connection, None)
    druid = cast(RecordedDruid, Silent())
    return Behind(folder=tmp_path, druid=druid, source=nobody, target=nobody, other_config="")


async def test_a_standby_that_does_not_follow_in_time_is_a_sentence(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(story, "FOLLOW_MAX_S", 0.05)
    with pytest.raises(DemoError) as slow:
        await Story(behind, Console(file=StringIO()))._follow("2-publish")
    assert "the standby has not followed within 0 s:" in str(slow.value)
    assert "the standby waits for its disk" in str(slow.value)
    assert "run the demo again when it is quiet" in slow.value.hint


async def test_a_page_that_does_not_answer_in_time_is_a_sentence_and_leaves_no_process(
    behind: Behind, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kept_page, "ANSWER_MAX_S", 0.05)
    with pytest.raises(DemoError) as slow:
        await keep_page(behind)
    assert "its page has not answered within 0 s:" in str(slow.value)
    assert "run the demo again when it is quiet" in slow.value.hint
    pid = int((behind.folder / PID_FILE).read_text())
    assert not Path(f"/proc/{pid}").exists()


async def test_a_run_that_has_ended_is_not_waited_for(behind: Behind):
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", "raise SystemExit(4)")
    await ended.wait()
    behind.runs.append(ended)
    with pytest.raises(DemoError, match="ended with 4:\nthe standby waits for its disk"):
        await Story(behind, Console(file=StringIO()))._follow("2-publish")
