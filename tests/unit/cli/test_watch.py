"""`watch --once` beside a running watcher: a job that asks for a poll ends no `run`."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from replicator.app import Application
from replicator.cli.main import VERBS
from replicator.config import load
from replicator.model.operations.pulse import WATCH, Pulse, pulse_json
from replicator.services.running import processes
from tests.unit.control.stage import SETTINGS

HOST = "watcher-1.example"


@contextmanager
def running(config: Path) -> Iterator[None]:
    """Let a log have a watcher that polls and says so, until the block ends."""
    begun, ended = threading.Event(), threading.Event()

    async def beats() -> None:
        every = timedelta(seconds=5)
        async with Application(load(config, {}), {}, lambda _: None) as application:
            await application.recorded.log.acquire()
            since, polls = application.clock.now(), 0
            while not ended.is_set():
                now = application.clock.now()
                pulse = Pulse(
                    verb="run", host=HOST, pid=1, since=since, seen_at=now, every=every,
                    polls=polls,
                )  # fmt: skip
                await application.recorded.log.beat(WATCH, pulse_json(pulse))
                begun.set()
                polls += 1
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=lambda: asyncio.run(beats()))
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        ended.set()
        thread.join()


def test_one_look_beside_a_running_watcher_waits_for_it_and_takes_nothing_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The source does not answer here: whoever polls it by himself ends with 8."""
    monkeypatch.setattr(processes, "LOOK_S", 0.01)
    config = tmp_path / "replicator.yaml"
    for name in ("source", "standby", "vault"):
        (tmp_path / name).mkdir()
    config.write_text(SETTINGS.format(folder=tmp_path))
    typed = ["--once", "--json", "--config", str(config)]
    watch = VERBS["watch"].command("watch")
    with running(config):
        done = CliRunner().invoke(watch, typed)
        assert done.exit_code == 0, done.output
        result = json.loads(done.stdout)["result"]
        assert result == {"published": False, "polled_by": f"`run` on {HOST}, pid 1"}
        assert CliRunner().invoke(watch, [*typed, "--take-over"]).exit_code == 8
