"""`run` as a monitoring system meets it: scraped while it works, and while its source is away."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from replicator.cli.demo.recording import RecordedDruid
from replicator.model.store.intent import intent_name
from tests.acceptance.test_cli import User, ids, user
from tests.integration.test_every_cut import settings_file
from tests.servers.postgresql import Postgresql, execute
from tests.servers.process import Processes, Running

__all__ = ["user"]
pytest_plugins = ["tests.servers.fixtures"]
pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

FAST = [
    *("--set", "web.listen=127.0.0.1:0", "--set", "web.status_interval_s=0.1"),
    *("--set", "watch.poll_interval_s=0.1", "--set", "watch.idle_cut_interval_s=1"),
    *("--set", "watch.retry.delay_max_s=0.2", "--set", "targets.standby.retry.delay_max_s=0.2"),
]
PATIENCE_S = 240.0


class Line:
    """A TCP connection to a server that can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._writers: set[asyncio.StreamWriter] = set()
        self.is_cut = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            self.cut()
            server.close()

    def cut(self) -> None:
        self.is_cut = True
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        onward_reader, onward = await asyncio.open_connection(*self._upstream)
        self._writers |= {writer, onward}
        with suppress(OSError):
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, onward))
                group.create_task(_pump(onward_reader, writer))
        self._writers -= {writer, onward}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
    writer.close()


class Scrape:
    """What one answer of `/metrics` holds."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples = [
            sample for family in text_string_to_metric_families(text) for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        """The value of the one sample with these labels, or NaN."""
        wanted = {"source": "prod", **labels}
        found = (
            s.value for s in self._samples if (s.name, s.labels) == (f"replicator_{name}", wanted)
        )
        return next(found, float("nan"))


class Monitor:
    def __init__(self, session: aiohttp.ClientSession, process: Running) -> None:
        self.session, self.process = session, process

    async def scrape(self) -> Scrape:
        async with self.session.get("/metrics") as answer:
            assert answer.status == 200
            return Scrape(await answer.text())

    async def sees(self, what: Callable[[Scrape], bool]) -> Scrape:
        found = await self.scrape()
        async with asyncio.timeout(PATIENCE_S):
            while not what(found):
                assert self.process.is_running, self.process.err
                await asyncio.sleep(0.05)
                found = await self.scrape()
        return found

    async def document(self):
        async with self.session.get("/status.json") as answer:
            return json.loads(await answer.read())


@asynccontextmanager
async def monitored(process: Running) -> AsyncIterator[Monitor]:
    """Find the address in the process's log, and end it well."""
    await process.says("http://127.0.0.1:", within_s=PATIENCE_S)
    found = re.search(r"http://127\.0\.0\.1:\d+", process.err)
    assert found is not None
    async with aiohttp.ClientSession(found[0]) as session:
        yield Monitor(session, process)
    ended = await process.terminate()
    assert ended.code == 0, ended.err


@pytest.fixture
async def line(
    postgresql: Postgresql, tmp_path: Path, forks: Processes
) -> AsyncIterator[tuple[User, Line]]:
    """A user whose source is reached over a line of its own."""
    async with postgresql.database() as source, postgresql.database() as target:
        parts = urlsplit(source)
        line = Line(parts.hostname or "", parts.port or 0)
        async with line.open() as port:
            config = settings_file(tmp_path, source.replace(f":{parts.port}/", f":{port}/"), target)
            text = config.read_text().replace("root_in_load_spec: /druid/segments", "")
            config.write_text(text.replace("kill_wait_s: 0", "kill_wait_s: 0\n    rpo: 1h"))
            RecordedDruid.unpack(tmp_path / "archive")
            yield User(tmp_path, config, source, target, forks), line


async def test_run_is_scraped_while_it_works_and_while_its_source_is_away(
    line: tuple[User, Line],
):
    user, wire = line
    await user.play("1-history")
    standby = {"target": "standby"}
    vault = f"targets.vault.deep_storage={{type: local, root: {user.folder / 'vault'}}}"
    (user.folder / "vault").mkdir()
    halts = ("--set", vault, "--set", "targets.standby.halted_retry_s=0.2")
    async with monitored(await user.starts("run", *FAST, *halts)) as monitor:
        async with monitor.session.get("/healthz") as health:
            assert (health.status, await health.text()) == (200, "ok\n")
        seen = await monitor.sees(lambda s: s.value("lag_records", **standby) == 0)
        assert seen.value("leader", target="") == 1
        assert seen.value("leader", **standby) == 1
        assert seen.value("events_published_total", type="segment.published") == 15
        copied = {**standby, "mode": "streamed"}
        assert seen.value("objects_copied_total", **copied, result="copied") == 15
        assert seen.value("bytes_copied_total", **copied) > 10_000
        assert seen.value("poll_seconds_count") >= 1

        await user.play("2-publish")
        await monitor.sees(
            lambda s: s.value("objects_copied_total", **copied, result="copied") == 16
        )
        seen = await monitor.sees(
            lambda s: (
                s.value("pending_objects", **standby) == 0
                and s.value("lag_seconds", **standby) < 5
                and s.value("promise_kept", **standby, promise="kill_margin_min") == 1
            )
        )
        assert not re.search(r"\d{4}-\d\d-\d\dT", seen.text)
        polled = seen.value("last_poll_timestamp_seconds")

        wire.cut()
        before = await monitor.sees(lambda s: s.value("retries_total", target="") >= 2)
        seen = await monitor.sees(
            lambda s: (
                s.value("lag_seconds", **standby) > before.value("lag_seconds", **standby) + 1
                and s.value("lag_records", **standby) == 0  # the last cut before is applied, too
            )
        )
        assert seen.value("last_poll_timestamp_seconds") < polled + 5
        assert seen.value("leader", target="") == 1
        found = (await monitor.document())["result"]
        assert found["failures"] == []
        assert found["targets"][0]["lag_records"] == 0

        wire.is_cut = False
        lag = seen.value("lag_seconds", **standby)
        await monitor.sees(lambda s: s.value("lag_seconds", **standby) < lag)
        await damage_in_one_store_halts_that_target_alone(user, monitor)


async def damage_in_one_store_halts_that_target_alone(user: User, monitor: Monitor) -> None:
    """The watcher and the other target go on, and so does this one when it is mended."""
    damaged = user.folder / "target" / "_replicator" / intent_name(1)
    damaged.parent.mkdir(exist_ok=True)
    damaged.write_bytes(b"{}")
    await user.play("3-overwrite")
    await monitor.sees(
        lambda s: (
            s.value("halted_services", target="standby") >= 1
            and s.value("halted_services", target="vault") == 0
            and s.value("lag_records", target="standby") > 0
            and s.value("lag_records", target="vault") == 0
        )
    )
    async with monitor.session.get("/healthz") as health:
        assert health.status == 200
    damaged.unlink()
    await monitor.sees(
        lambda s: (
            s.value("halted_services", target="standby") == 0
            and s.value("lag_records", target="standby") == 0
        )
    )


async def test_apply_tells_of_its_target_what_waits_and_what_a_kill_could_take(
    line: tuple[User, Line],
):
    """The deep storage is away, so what the log says cannot be copied; its kill comes nearer."""
    user, _ = line
    await user.cut("1-history")
    await user.play("2-publish")
    (new,) = await ids(user.source, "wikipedia") - await ids(user.target, "wikipedia")
    since = "now() - interval '29 days 12 hours', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'"
    marked = f"used = false, used_status_last_updated = to_char({since})"
    await execute(user.source, f"UPDATE druid_segments SET {marked} WHERE id = $1", new)
    drop = "UPDATE druid_segments SET used = false WHERE datasource = 'orders'"
    await execute(user.source, drop)  # copied long since: no kill can take anything from us
    assert (await user.types("watch", "--once")).code == 0
    (user.folder / "source").rename(user.folder / "elsewhere")
    said = await user.types("status", "--json")
    (found,) = said.result["targets"]
    assert said.code == 10
    assert found["broken_promises"] == ["kill_margin_min"]
    assert found["pending_objects"] == 1
    assert found["pending_bytes"] > 1000
    (margin,) = found["kill_margins"]
    assert margin["datasource"] == "wikipedia"
    assert margin["seconds"] == pytest.approx(12 * 3600, abs=300)
    assert found["kill_margin_seconds"] == margin["seconds"]
    shown = await user.types("status")
    assert shown.code == 10
    assert (
        "bytes of wikipedia are not copied yet; the source's kill could delete them in 12.0 h"
        in " ".join(shown.out.split())
    )
    assert (await user.types("status", "--set", "source.kill_buffer=60d")).code == 0

    async with monitored(await user.starts("apply", "standby", *FAST)) as monitor:
        copying = {"target": "standby", "datasource": "wikipedia"}
        seen = await monitor.sees(lambda s: s.value("kill_margin_seconds", **copying) > 0)
        assert seen.value("kill_margin_seconds", **copying) == pytest.approx(12 * 3600, abs=300)
        assert seen.value("pending_objects", target="standby") == 1
        assert seen.value("promise_kept", target="standby", promise="kill_margin_min") == 0
        (user.folder / "elsewhere").rename(user.folder / "source")
        await monitor.sees(
            lambda s: (
                s.value("pending_objects", target="standby") == 0
                and s.value("promise_kept", target="standby", promise="kill_margin_min") == 1
            )
        )
    said = await user.types("status", "--json")
    assert said.result["targets"][0]["broken_promises"] == []
    assert said.code == 10, "its applier was stopped and is missed, before a promise breaks"


async def test_a_port_that_is_taken_stops_run_before_it_does_anything(line: tuple[User, Line]):
    user, _ = line
    await user.play("1-history")
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    said = await user.types("run", "--set", f"web.listen=127.0.0.1:{port}")
    taken.close()
    assert said.code == 2
    assert f"web.listen: cannot listen at 127.0.0.1:{port}" in said.err
    assert not (user.folder / "log.sqlite").exists()


SLOW_CLIENTS, CONNECTIONS_MAX, OTHERS_MAX = 1500, 64, 16
"""Clients; connections that the server keeps; descriptors of polls and looks at that moment."""


@pytest.mark.long
async def test_many_slow_clients_hold_up_neither_polls_nor_answers(user: User):
    """Gate: tests/unit/web/test_gate.py has the limits, in one process and without a source."""
    await user.play("1-history")
    async with monitored(await user.starts("run", *FAST)) as monitor:
        idle = descriptors(monitor.process.pid)
        seen = await monitor.sees(lambda s: s.value("poll_seconds_count") >= 1)
        polls = seen.value("poll_seconds_count")
        place = urlsplit(str(monitor.session._base_url))
        slow: list[asyncio.StreamWriter] = []
        waits_s = list[float]()
        for number in range(SLOW_CLIENTS):
            _, writer = await asyncio.open_connection(place.hostname, place.port)
            writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
            slow.append(writer)
            if number % 50 == 0:
                began_s = asyncio.get_running_loop().time()
                async with monitor.session.get("/healthz") as health:
                    assert health.status == 200
                waits_s.append(asyncio.get_running_loop().time() - began_s)
        used = descriptors(monitor.process.pid) - idle
        await user.play("2-publish")
        found = await monitor.sees(lambda s: s.value("poll_seconds_count") >= polls + 20)
        assert found.value("leader", target="") == 1
        print(f"{SLOW_CLIENTS} slow clients: {used} descriptors, answers in {max(waits_s):.3f} s")
        assert used <= CONNECTIONS_MAX + OTHERS_MAX
        for writer in slow:
            writer.close()


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
