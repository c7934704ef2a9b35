"""A place that hangs holds up its own calls, and nobody else's."""

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.machine.threads import Threads, answers
from replicator.app.wiring import storages
from replicator.config import LocalStorageSettings
from replicator.errors import NotFoundError, TransientError
from replicator.model.load_spec import Location
from replicator.model.observed.faults import Waiting
from tests.servers.hung_mount import hung_mount

PLACE = Location("wiki/2026/v1/0/")
ROOT = Path(__file__).parents[3]
SHARED = {
    "adapters/machine/workers.py",  # ends processes
    "adapters/s3/uploads.py",  # a checksum
    "adapters/scratch/process.py",  # waits with a limit
    "adapters/scratch/user.py",  # of a drill's own process
    "adapters/transfer/hashing.py",
    "adapters/transfer/packing.py",
}
"""What may share threads: it computes, or ends by itself."""
OWN = {
    "adapters/sqlite/control_file.py",
    "adapters/sqlite/heir.py",
    "adapters/sqlite/log.py",
    "control/access/audit.py",
}
"""What hands over a thread of its own."""


@pytest.fixture
def released() -> Iterator[threading.Event]:
    released = threading.Event()
    yield released
    released.set()


async def hanging(threads: Threads, released: threading.Event, count: int) -> list[object]:
    """Begin calls that change something and do not return."""
    begun = [asyncio.create_task(threads.finished(released.wait)) for _ in range(count)]
    await asyncio.sleep(0)
    return [*begun]


async def test_a_place_that_hangs_holds_up_no_other(released: threading.Event):
    told = list[str]()
    threads = Threads(
        "the folder /mnt/a", threads_max=2, answer_timeout_s=0.05,
        tell=lambda hangs: told.append(str(hangs)), hint="look at it",
    )  # fmt: skip
    begun = await hanging(threads, released, 2)
    with pytest.raises(TransientError, match="the folder /mnt/a did not answer") as refused:
        await threads.finished(lambda: None)  # all threads hang
    assert refused.value.hint == "look at it"
    with pytest.raises(TransientError, match="the folder /mnt/a did not answer"):
        await threads.answered(lambda: None)
    assert await Threads("the folder /mnt/b", threads_max=1).finished(lambda: 1) == 1
    assert told[0] == "the folder /mnt/a did not answer within 0.05 s"
    released.set()
    assert [await one for one in begun] == [True, True]  # type: ignore[misc]
    assert await threads.answered(lambda: 2) == 2, "it goes on by itself"


async def test_a_call_that_changes_nothing_is_left_alone(released: threading.Event):
    threads = Threads("the folder /mnt/a", threads_max=1, answer_timeout_s=0.05)
    with pytest.raises(TransientError, match=r"did not answer within 0\.05 s"):
        await threads.answered(released.wait)
    looking = asyncio.create_task(Threads("b", answer_timeout_s=60).answered(released.wait))
    await asyncio.sleep(0.01)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    ended = threading.Event()
    threads.leave(ended.set)
    assert not ended.is_set()
    released.set()
    assert await threads.answered(lambda: ended.wait(10)) is True


async def test_a_call_that_changes_something_is_waited_for(released: threading.Event):
    """Or it would write while its caller already cleans up; what has not begun never does."""
    threads = Threads("a", threads_max=1, answer_timeout_s=60)
    (begun,) = await hanging(threads, released, 1)
    assert isinstance(begun, asyncio.Task)
    done = list[str]()
    waiting = asyncio.create_task(threads.finished(lambda: done.append("late")))
    await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    begun.cancel()
    await asyncio.sleep(0.01)
    begun.cancel()
    assert not begun.done()
    released.set()
    with pytest.raises(asyncio.CancelledError):
        await begun
    assert await threads.finished(lambda: 1) == 1
    assert done == []


async def test_a_busy_place_does_not_hang():
    """A disk that works through a queue, each call within the limit."""
    pause, threads = threading.Event(), Threads("a", threads_max=1, answer_timeout_s=0.1)
    calls = [asyncio.create_task(threads.finished(lambda: pause.wait(0.03))) for _ in range(10)]
    assert [await one for one in calls] == [False] * 10


async def test_errors_come_through_and_threads_end_with_their_owner():
    def fails() -> None:
        raise NotFoundError("nothing is there")

    threads = Threads("of this test alone")
    with pytest.raises(NotFoundError, match="nothing is there"):
        await threads.answered(fails)
    named = [one for one in threading.enumerate() if one.name == "of this test alone"]
    assert len(named) == 1
    assert named[0].daemon
    del threads
    gc.collect()  # an error's traceback knows its frames
    named[0].join(10)
    assert not named[0].is_alive()


async def test_what_hangs_is_left_out_of_what_many_places_answer(released: threading.Event):
    calls = {"a": lambda: bool(released.wait()), "b": lambda: False}
    assert await answers(calls, within_s=0.05) == {"b": False}


def test_the_process_does_not_wait_for_what_hangs():
    code = (
        "import asyncio, threading\n"
        "from replicator.adapters.machine.threads import Threads\n"
        "async def main():\n"
        "    Threads('a').leave(threading.Event().wait)\n"
        "asyncio.run(main())\n"
        "print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


def test_nothing_that_may_hang_shares_threads():
    package = ROOT / "replicator"
    sharing = "machine.threads import finished"
    paths = [path for path in package.rglob("*.py") if sharing in path.read_text()]
    assert {str(path.relative_to(package)) for path in paths} == SHARED | OWN


async def test_a_mount_that_is_gone_stops_its_own_store_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Its store names the folder; the others, the event loop and the end of each go on."""
    roots = [tmp_path / "a", tmp_path / "b"]
    told = list[object]()
    for root in roots:
        root.mkdir()
    monkeypatch.setattr(storages, "HANGS", "look at the mount")
    a, b = (
        storages._local(
            LocalStorageSettings(type="local", root=root, threads_max=2, answer_timeout_s=0.05),
            told.append,
        )
        for root in roots
    )
    assert await a.area().create("note", b"1")
    assert await b.area().create("note", b"1")
    with hung_mount(roots[0]) as is_mounted:
        if not is_mounted:
            pytest.skip("only root can mount")
        for ask in (a.area().get("note"), a.area().names(""), a.receipt(PLACE), a.objects(PLACE)):
            with pytest.raises(TransientError, match=f"the folder {roots[0]} did not") as said:
                await ask
            assert said.value.hint == "look at the mount"
        with pytest.raises(TransientError, match=f"the folder {roots[0]} did not"):
            await a.area().replace("note", b"2")
        assert await b.area().get("note") == b"1"
        assert await b.area().create("other", b"2")
        assert await b.receipt(PLACE) is None
    assert await a.area().get("note") == b"1", "the mount is back"
    await a.close()
    await b.close()


async def test_a_write_that_does_not_return_is_told(tmp_path: Path):
    told = list[object]()
    settings = LocalStorageSettings(type="local", root=tmp_path, answer_timeout_s=0.05)
    storage = storages._local(settings, told.append)
    assert isinstance(storage, LocalDeepStorage)
    await storage.area().create("note", b"1")
    with hung_mount(tmp_path) as is_mounted:
        if not is_mounted:
            pytest.skip("only root can mount")
        writing = asyncio.create_task(storage.area().replace("note", b"2"))
        while not told:
            await asyncio.sleep(0.01)
    with suppress(TransientError):  # the mount is gone in the middle of it
        await writing
    assert isinstance(told[0], Waiting)
    assert told[0].reason == f"the folder {tmp_path} did not answer within 0.05 s"
    await storage.close()


async def test_a_thread_that_the_system_refuses_is_not_counted(monkeypatch: pytest.MonkeyPatch):
    """After eight of them the place never answered again, when threads could be had long since."""
    threads, begin = Threads("one", threads_max=2, answer_timeout_s=5), threading.Thread.start
    refused = 3

    def start(self: threading.Thread) -> None:
        nonlocal refused
        if refused:
            refused -= 1
            raise RuntimeError("can't start new thread")
        begin(self)

    monkeypatch.setattr(threading.Thread, "start", start)
    for _ in range(3):
        with pytest.raises(TransientError, match="one: can't start new thread"):
            await threads.answered(lambda: 1)
    assert await threads.answered(lambda: 2) == 2
    refused = 1
    assert await threads.finished(lambda: 3) == 3
