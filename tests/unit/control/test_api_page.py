"""What docs/api.md says to type works, and is answered as it shows."""

from pathlib import Path

from replicator.model.operations.access import Role
from tests.unit.control.api_page import typed
from tests.unit.control.stage import ended, served

PLANNED = {"digest": "c" * 64, "cut": {"offset": 47}, "segments": 2}


async def test_each_line_that_asks_a_service_is_answered_as_the_page_shows(tmp_path: Path):
    async with served(tmp_path) as stage:
        stage.program.says.append(lambda _: ended(PLANNED))
        # the reader's standby follows already: its status has a cut to pause at
        await stage.sees("standby", 47)
        found = await typed(stage.control.url, await stage.token(Role.ADMIN))
        shown = [(one.shown.keys(), one.answer.keys()) for one in found if one.shown is not None]
        assert len(shown) == 6
        assert all(said == came for said, came in shown), shown
        verbs = [one.arguments[:2] for one in stage.program.runs]
        assert verbs == [
            ["verify", "--level=checksum"],
            ["restore", "--pause"],
            ["restore", "plan"],
            ["restore", "run"],
            ["target", "create"],
            ["apply", "--catch-up"],
            ["apply", "--catch-up"],
            ["restore", "plan"],
            ["restore", "run"],
        ]
        (state,) = (one for one in found if "status" in one.answer)
        assert state.answer["status"]["status"] == "SUCCESS"
