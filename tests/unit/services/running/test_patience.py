"""A question that hangs is given up, left alone, and not asked again until it has ended."""

import asyncio
import threading
from pathlib import Path

import pytest

from replicator.adapters.machine.threads import finished
from replicator.errors import DefectError, RefusedError, ReplicatorError, TransientError
from replicator.services.running import patience as module
from replicator.services.running.patience import Patience


async def test_an_answer_and_an_error_come_through():
    async def refuses() -> str:
        raise RefusedError("no")

    async def answers() -> str:
        return "yes"

    patience = Patience(60)
    assert await patience.answer("a", answers) == "yes"
    with pytest.raises(RefusedError, match="no"):
        await patience.answer("a", refuses)


async def test_a_bug_is_an_error_of_whom_was_asked_and_hides_no_other():
    """A document, a row or an answer that nobody had thought of ended `run` with all targets."""
    seen, failed = list[str](), dict[str, ReplicatorError]()

    async def look(name: str) -> None:
        if name == "odd":
            raise KeyError("objects")
        seen.append(name)

    await Patience(60).targets(["odd", "standby"], look, failed.__setitem__)
    assert seen == ["standby"]
    error = failed["odd"]
    assert isinstance(error, DefectError)
    assert str(error).startswith("target 'odd': KeyError: 'objects', in look (")
    assert f" (running/{Path(__file__).name}:" in str(error), "and no folder of this machine"
    assert (error.exit_code, "bug of the program" in error.hint) == (1, True)


async def test_what_hangs_in_a_thread_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    """A thread in a read from a mount that is gone cannot be cancelled."""
    monkeypatch.setattr(module, "CLEAN_UP_S", 0.01)
    released, begun = threading.Event(), list[str]()

    async def hangs() -> str:
        begun.append("")
        await finished(released.wait)
        return "late"

    patience = Patience(0.05)
    try:
        with pytest.raises(TransientError, match=r"a did not answer within 0\.05 s") as slow:
            await patience.answer("a", hangs)
        assert "look_timeout_s" in slow.value.hint
        with pytest.raises(TransientError, match="a still has not answered"):
            await patience.answer("a", hangs)
        assert len(begun) == 1
    finally:
        released.set()
    while any(task.get_name() == module.GIVEN_UP for task in asyncio.all_tasks()):
        await asyncio.sleep(0.001)
    assert await patience.answer("a", hangs) == "late"


async def test_who_is_cancelled_waits_for_nothing_that_hangs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CLEAN_UP_S", 0.01)
    released, begun = threading.Event(), asyncio.Event()

    async def hangs() -> None:
        begun.set()
        await finished(released.wait)

    asking = asyncio.create_task(Patience(3600).answer("a", hangs))
    try:
        await begun.wait()
        asking.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await asking
    finally:
        released.set()
