"""Two of them: the second one stays passive until the first is gone, and then goes on alone."""

import pytest

from tests.acceptance.test_cli import User, user
from tests.servers.terminal import at_terminal

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]
PASSIVE = ("run", "--passive")
WAITS = "passive: begins when the other is not heard any more"
BEGINS = "no other process is heard: this one begins"


async def test_a_passive_second_takes_over_from_one_that_was_killed_and_not_before(user: User):
    """The one that comes back is passive in its turn: nobody takes over from anybody for ever."""
    await user.play("1-history")
    first = await user.starts("run")
    await first.says("first filling done")
    second = await user.starts(*PASSIVE)
    await second.says(WAITS)
    assert first.is_running
    await first.kill()
    await second.says(BEGINS, within_s=120)
    await second.says("cut applied", within_s=60)
    await user.play("2-publish")
    await second.says("cut published", times=1, within_s=60)
    asked = "Type the name of the source to take over (prod):"
    async with at_terminal(user.forks, "run", "--config", str(user.config)) as terminal:
        await terminal.shows(asked)
        assert f"pid {second.pid}, does this work" in terminal.text
        terminal.types("\r")
        assert await terminal.ended() == 4, terminal.lines
    assert "nothing was changed" in terminal.text
    third = await user.starts(*PASSIVE)
    await third.says(WAITS)
    assert BEGINS not in third.err
    assert second.is_running
    ended = await third.terminate()
    assert (ended.code, "nothing was changed" in ended.out) == (0, True), ended.err
    assert (await second.terminate()).code == 0
