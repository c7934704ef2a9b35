"""A signal ends every process, whatever does not return."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from replicator.cli.terminal import signals

HANGING = """
import asyncio, sys
from replicator.adapters.machine.threads import finished
from replicator.cli.terminal import signals
from replicator.cli.terminal import loop
from replicator.services.running.supervisor import stop_on_signals, supervise

signals.CLEANING_UP_S = 0.3
pipe = sys.argv[-1]

class Hanging:
    async def run(self, stop):
        print("hangs", flush=True)
        await finished(lambda: open(pipe).read())

async def verb():
    await Hanging().run(None)

async def follows():
    stop = asyncio.Event()
    stop_on_signals(stop, told=lambda: signals.end_within(0.3))
    await supervise({"apply": Hanging()}, stop=stop, drain_s=0.05)

signals.begin()
loop.in_loop(verb if sys.argv[1] == "restore" else follows)
"""


@pytest.mark.parametrize("verb", ["restore", "apply"])
def test_what_never_returns_ends_with_the_process(tmp_path: Path, verb: str):
    """A read of a mount that is gone, or of a pipe that nobody writes to."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    hanging = subprocess.Popen(
        [sys.executable, "-c", HANGING, verb, str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert hanging.stdout is not None
        assert hanging.stdout.readline() == "hangs\n"
        hanging.send_signal(signal.SIGTERM)
        _, err = hanging.communicate(timeout=60)
    finally:
        hanging.kill()
        hanging.wait()
    assert hanging.returncode == 143, err
    assert "did not return within 0.3 s" in err.splitlines()[-1]


GIVEN_UP = """
import sys
from pathlib import Path
from replicator.adapters.machine.threads import finished
from replicator.cli import main
from replicator.cli.command import Call, Outcome, finish
from replicator.cli.terminal import loop
from replicator.errors import TransientError
from replicator.services.running.patience import Patience

async def verb():
    try:
        await Patience(0.05).answer("a", lambda: finished(lambda: open(sys.argv[1]).read()))
    except TransientError as exc:
        said = str(exc)
        return Outcome(result={}, show=lambda console: console.print(said), exit_code=8)

main.app = lambda: finish(Call(command="status", config_path=Path()), lambda: loop.in_loop(verb))
main.main()
"""


def test_a_look_that_never_returns_hides_nothing_and_holds_up_no_end(tmp_path: Path):
    """`status` says what it knows and ends, though a thread still hangs in a read."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = subprocess.run(
        [sys.executable, "-c", GIVEN_UP, str(pipe)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (8, "a did not answer within 0.05 s\n"), done.stderr


def test_an_end_in_time_does_not_wait_for_the_last_resort():
    code = "from replicator.cli.terminal import signals; signals.end_within(3600); print('done')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.timeout(20)
def test_a_signal_that_another_thread_gets_ends_a_question():
    """It interrupts no call of the main thread, as one that comes just before a read does not."""
    reader, writer = os.pipe()

    def interrupt() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)

    threading.Timer(0.1, interrupt).start()
    with pytest.raises(signals.Unanswered, match="130"), signals.at_a_question() as wait:
        wait(reader)
    os.close(reader)
    os.close(writer)


def test_a_question_waits_for_its_answer_and_leaves_signals_as_they_were():
    reader, writer = os.pipe()
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with signals.at_a_question() as wait:
        os.write(writer, b"standby\n")
        wait(reader)
        assert os.read(reader, 100) == b"standby\n"
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    os.close(reader)
    os.close(writer)


CLEANING_UP = """
import asyncio, sys
from pathlib import Path
from replicator.cli.terminal import signals
from replicator.cli.terminal import loop

async def verb():
    print("works", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("that nobody reads", file=sys.stderr, flush=True)
        Path(sys.argv[-1]).write_text("cleaned up")

signals.leave_early()
signals.begin()
loop.in_loop(verb)
"""


@pytest.mark.parametrize("may_close", [False, True])
def test_a_terminal_that_is_closed_ends_a_verb_after_it_has_cleaned_up(
    tmp_path: Path, *, may_close: bool
):
    """A drill left what it had restored; with `nohup` it goes on, and SIGTERM ends it."""
    cleaned = tmp_path / "cleaned"
    pid, terminal = os.forkpty()
    if pid == 0:
        # the suite itself may run under `nohup`
        signal.signal(signal.SIGHUP, signal.SIG_IGN if may_close else signal.SIG_DFL)
        verb = [sys.executable, "-c", CLEANING_UP, "drill", str(cleaned)]
        os.execv(sys.executable, verb)  # noqa: S606 - a terminal is had by a fork alone
    try:
        assert b"works" in os.read(terminal, 100)
        if may_close:
            os.kill(pid, signal.SIGHUP)
            assert os.waitpid(pid, os.WNOHANG) == (0, 0)
            os.kill(pid, signal.SIGTERM)
            with suppress(OSError):  # its end closes the other side
                while os.read(terminal, 100):
                    pass
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == signals.TERMINATED
    assert cleaned.read_text() == "cleaned up"
