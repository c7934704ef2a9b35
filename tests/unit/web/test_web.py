"""Over HTTP: what is counted, what was seen, and that nothing grows with the number of segments."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.exposition import choose_encoder
from prometheus_client.parser import text_string_to_metric_families

from replicator.adapters.memory.metadata import MemoryMetadata
from replicator.adapters.memory.storage import MemoryDeepStorage
from replicator.errors import ConfigError, TransientError
from replicator.model.checkpoint import Gap, newest
from replicator.model.event import Offset
from replicator.model.load_spec import Location
from replicator.model.observation import GapOpened, Observation
from replicator.model.observed.faults import Halted, Waiting, WentOn
from replicator.model.store.proof import proof_json
from replicator.ports import Clock, CopySource, Receipt
from replicator.services.monitoring import status
from replicator.services.monitoring.life import LifeSigns
from replicator.services.monitoring.poller import Poller, Watched
from replicator.services.monitoring.status import LogStatus
from replicator.services.records.drill_record import DrillRecord
from replicator.services.running import patience
from replicator.web import server as web_server
from replicator.web.gate import GateLimits
from replicator.web.gauges import OTHERS, StatusGauges
from replicator.web.metrics import WATCHER, Metrics
from replicator.web.server import StatusAnswers, WebServer
from replicator.web.status_json import seen_json, target_json
from tests.builders import segment
from tests.unit.pipeline import SOURCE, Pipeline, soon
from tests.unit.services.drills.test_drills import made
from tests.unit.services.monitoring.test_status import PROMISES, surveyed, unused
from tests.unit.services.verification.test_proof import PROOF

Labels = Mapping[str, str]


class Away(MemoryMetadata):
    """A target's metadata store that comes and goes."""

    away = False

    async def state(self, source: str):
        if self.away:
            raise TransientError("standby-db: connect: nobody is there", hint="look after it")
        return await super().state(source)


class Monitored:
    """A pipeline with a web server, wired as the application does it."""

    def __init__(
        self,
        *,
        datasources_max: int = 200,
        life: Callable[[LogStatus], Awaitable[LifeSigns]] | None = None,
    ) -> None:
        self.pipeline = pipeline = Pipeline()
        self.target = Away(pipeline.clock)
        self.area = pipeline.area
        pipeline.target = self.target
        self.passed: list[Observation] = []
        self.metrics = Metrics(source=SOURCE, version="1.2.3", clock=pipeline.clock)
        pipeline.seen = _Told(self.metrics.observer(WATCHER, self.passed.append))
        pipeline.watcher = pipeline.new_watcher()
        pipeline.seen = _Told(self.metrics.observer("standby", self.passed.append))
        pipeline.applier = pipeline.new_applier()
        self.poller = Poller(
            status_reader=surveyed(pipeline),
            targets={"standby": Watched(metadata=self.target, area=self.area, promises=PROMISES)},
            clock=pipeline.clock,
            interval_s=0.01,
            life=life,
        )
        self.metrics.registry.register(
            StatusGauges(
                source=SOURCE,
                poller=self.poller,
                clock=pipeline.clock,
                datasources_max=datasources_max,
            )
        )

        self.answers = StatusAnswers(
            registry=self.metrics.registry, poller=self.poller, clock=pipeline.clock
        )

    def server(self, listen: str = "127.0.0.1:0", *, limits: GateLimits | None = None) -> WebServer:
        return WebServer(listen=listen, answers=self.answers, limits=limits or GateLimits())

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Client"]:
        server = self.server()
        url = await server.start()
        try:
            async with aiohttp.ClientSession(url) as session:
                yield Client(session)
        finally:
            await server.close()


class _Told(list[Observation]):
    """What a pipeline appends to is told to an observer."""

    def __init__(self, observer) -> None:
        super().__init__()
        self._observer = observer

    def append(self, observation: Observation) -> None:
        self._observer(observation)


class Client:
    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def text(self, path: str) -> str:
        async with self.session.get(path) as answer:
            assert answer.status == 200
            return await answer.text()

    async def document(self, *, status: int = 200):
        async with self.session.get("/status.json") as answer:
            assert (answer.status, answer.content_type) == (status, "application/json")
            found = json.loads(await answer.read())
            assert (found["schema"], found["command"]) == ("replicator.v1", "status")
            return found

    async def samples(self) -> dict[str, list[tuple[Labels, float]]]:
        found: dict[str, list[tuple[Labels, float]]] = {}
        for family in text_string_to_metric_families(await self.text("/metrics")):
            for sample in family.samples:
                assert sample.name.startswith("replicator_")
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
        return found

    async def value(self, name: str, **labels: str) -> float | None:
        wanted = {"source": SOURCE, **labels}
        found = (await self.samples()).get(f"replicator_{name}", [])
        return next((value for has, value in found if dict(has) == wanted), None)


class Hanging(MemoryMetadata):
    """A target's metadata store that takes questions, and ends none before it is released.

    Not even if it is cancelled, like a thread that reads from a mount that is gone.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.asked, self.released = 0, asyncio.Event()

    async def state(self, source: str):
        self.asked += 1
        while not self.released.is_set():
            with suppress(asyncio.CancelledError):
                await self.released.wait()
        return await super().state(source)


async def test_a_target_that_hangs_holds_up_no_news_of_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(patience, "CLEAN_UP_S", 0.01)
    pipeline = Monitored().pipeline
    silent = Hanging(pipeline.clock)
    hanging = Watched(metadata=silent, area=pipeline.area, promises=PROMISES)
    well = replace(hanging, metadata=pipeline.target)
    found = Poller(
        status_reader=surveyed(pipeline),
        targets={"hanging": hanging, "standby": well},
        clock=pipeline.clock,
        interval_s=0.01,
        timeout_s=0.05,
    )
    try:
        await found.look()
        assert [*found.seen] == ["standby"]
        said = "target 'hanging' did not answer within 0.05 s"
        assert str(found.failures["hanging"].error) == said
        first = found.seen["standby"].at
        pipeline.clock.move(5)
        await found.look()
        assert found.seen["standby"].at > first
        assert silent.asked == 1, "each question would hold another thread"
        stop = asyncio.Event()
        running = asyncio.create_task(found.run(stop))
        stop.set()
        async with asyncio.timeout(10):
            await running
    finally:
        silent.released.set()
    await asyncio.sleep(0.01)
    await found.look()
    assert (sorted(found.seen), found.failures) == (["hanging", "standby"], {})


async def test_what_the_services_do_is_counted():
    monitored = Monitored()
    pipeline = monitored.pipeline
    pipeline.publish(segment(), segment("orders"))
    async with monitored.served() as client:
        assert await client.value("leader", target="") == 0
        await pipeline.cut()
        assert await client.value("leader", target="") == 1
        assert await client.value("leader", target="standby") == 0
        await pipeline.follow()
        pipeline.clock.move(5)
        assert not await pipeline.watcher.poll()

        assert await client.value("leader", target="standby") == 1
        assert await client.value("events_published_total", type="segment.published") == 2
        assert await client.value("events_published_total", type="cut.closed") == 1
        assert await client.value("poll_seconds_count") == 2
        assert await client.value("scanned_rows") == 2
        now = pipeline.clock.now().timestamp()
        assert await client.value("last_poll_timestamp_seconds") == now
        copied = {"target": "standby", "mode": "streamed"}
        assert await client.value("objects_copied_total", **copied, result="copied") == 2
        assert await client.value("bytes_copied_total", **copied) == 2 * 1967
        assert await client.value("cuts_applied_total", target="standby") == 1
        assert await client.value("rows_applied_total", target="standby") == 2
        assert await client.value("build_info", version="1.2.3") == 1
        assert await client.value("halted_services", target="standby") == 0
        for what in ("apply to standby", "write a base of standby"):
            pipeline.seen.append(Halted(what=what, reason="", hint="", exit_code=9, retry_s=60))
        assert await client.value("halted_services", target="standby") == 2
        pipeline.seen.append(WentOn(what="apply to standby"))
        assert await client.value("halted_services", target="standby") == 1
    assert any(isinstance(one, GapOpened) for one in monitored.passed) is False
    assert monitored.passed


async def test_bytes_that_were_there_already_are_counted_apart():
    monitored = Monitored()
    pipeline = monitored.pipeline
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    pipeline.publish(segment(used=False))
    await pipeline.cut()
    await pipeline.follow()
    async with monitored.served() as client:
        reused = {"target": "standby", "mode": "none", "result": "reused"}
        assert await client.value("objects_copied_total", **reused) == 1
        assert await client.value("bytes_copied_total", target="standby", mode="none") is None


class CopiesByItself(MemoryDeepStorage):
    """As S3 copies within S3: no bytes come here."""

    async def put(self, location: Location, copy_source: CopySource) -> Receipt:
        plain = CopySource(
            reader=copy_source.reader, location=copy_source.location, objects=copy_source.objects
        )
        return await super().put(location, plain)


async def test_what_a_storage_copies_by_itself_is_counted_apart():
    monitored = Monitored()
    pipeline = monitored.pipeline
    pipeline.target_storage = CopiesByItself()
    pipeline.seen = _Told(monitored.metrics.observer("standby", monitored.passed.append))
    pipeline.applier = pipeline.new_applier()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    async with monitored.served() as client:
        copied = {"target": "standby", "mode": "in_storage"}
        assert await client.value("objects_copied_total", **copied, result="copied") == 1
        assert await client.value("bytes_copied_total", **copied) == 1967


async def test_gaps_and_retries_are_counted():
    monitored = Monitored()
    observe = monitored.metrics.observer("standby", monitored.passed.append)
    gap = Gap(key="a", datasource="wiki", reason="object_missing", detail="", opened=7)  # type: ignore[arg-type]
    observe(GapOpened(gap=gap))
    observe(Waiting(what="copy a/b/c", reason="away", delay_s=1.0))
    async with monitored.served() as client:
        assert await client.value("gaps_total", target="standby", reason="object_missing") == 1
        assert await client.value("retries_total", target="standby") == 1
        assert await client.value("retries_total", target="") == 0
    assert len(monitored.passed) == 2


async def test_a_look_is_told_to_all_clients_at_the_cost_of_one(monkeypatch: pytest.MonkeyPatch):
    """It goes through all gaps of a target, and whoever reaches the port may ask."""
    monitored, made = Monitored(), list[object]()

    def counted(poller: Poller) -> dict[str, object]:
        made.append(poller)
        return seen_json(poller)

    def sorted_out(gaps: Sequence[Gap], gaps_max: int) -> list[Gap]:
        sorts.append(gaps_max)
        return newest(gaps, gaps_max)

    sorts = list[int]()
    monkeypatch.setattr(web_server, "seen_json", counted)
    monkeypatch.setattr(status, "newest", sorted_out)
    monitored.pipeline.publish(segment())
    await monitored.pipeline.cut()
    async with monitored.served() as client:
        await client.document(status=503)
        for cut in (1, 2):
            await monitored.pipeline.follow()
            await monitored.poller.look()
            for _ in range(3):
                found = await client.document()
                assert found["result"]["targets"][0]["cut"] == cut
                target_json(monitored.poller.seen["standby"].status)  # as the page, and the API
            monitored.pipeline.publish(segment(f"orders-{cut}"))
            await monitored.pipeline.cut()
    assert len(made) == 3
    assert len(sorts) == 2


async def test_what_was_seen_of_a_target_is_told_with_its_age():
    monitored = Monitored()
    pipeline = monitored.pipeline
    pipeline.publish(segment("seed"))
    await pipeline.cut()
    await pipeline.follow()
    replicated = pipeline.clock.now()
    pipeline.publish(unused("orders", replicated - timedelta(days=29, hours=12)))
    await pipeline.cut()
    await monitored.poller.look()
    standby = {"target": "standby"}
    async with monitored.served() as client:
        assert await client.value("replicated_time_seconds", **standby) == replicated.timestamp()
        assert await client.value("logged_time_seconds") == replicated.timestamp() + 10
        assert await client.value("lag_seconds", **standby) == 10
        assert await client.value("lag_records", **standby) == 2
        assert await client.value("pending_objects", **standby) == 1
        assert await client.value("pending_bytes", **standby) == 1967
        assert await client.value("gaps", **standby) == 0
        margin = {**standby, "datasource": "orders"}
        assert await client.value("kill_margin_seconds", **margin) == 12 * 3600 - 10
        kept = {promise: await client.value("promise_kept", **standby, promise=promise)
                for promise in ("rpo", "kill_margin_min", "log_margin_min")}  # fmt: skip
        assert kept == {"rpo": 1, "kill_margin_min": 0, "log_margin_min": 1}
        assert await client.value("log_retention_margin_seconds", **standby) is None

        pipeline.clock.move(100)  # nobody has looked again
        assert await client.value("lag_seconds", **standby) == 110
        assert await client.value("kill_margin_seconds", **margin) == 12 * 3600 - 110

        target = (await client.document())["result"]["targets"][0]
        assert (target["target"], target["lag_seconds"], target["pending_objects"]) == (
            "standby",
            10,
            1,
        )
        assert target["kill_margins"] == [{"datasource": "orders", "seconds": 12 * 3600 - 10}]
        assert target["broken_promises"] == ["kill_margin_min"]


async def test_no_segment_is_a_label_and_datasources_are_bounded():
    monitored = Monitored(datasources_max=3)
    pipeline = monitored.pipeline
    now = pipeline.clock.now()
    for number in range(10):
        row = unused(f"d{number}", now - timedelta(days=number))
        pipeline.publish(row)
    await pipeline.cut()
    await monitored.poller.look()
    async with monitored.served() as client:
        margins = (await client.samples())["replicator_kill_margin_seconds"]
        days = {labels["datasource"]: round(value / 86_400, 2) for labels, value in margins}
        assert days == {"d9": 21, "d8": 22, "d7": 23, OTHERS: 24}
        assert "2024-01-01T" not in await client.text("/metrics")


async def test_whoever_asks_for_the_status_gets_few_of_many_rows(monkeypatch: pytest.MonkeyPatch):
    """Nobody logs in there: what one answer costs the process is bounded."""
    monitored = Monitored()
    pipeline = monitored.pipeline
    pipeline.publish(segment("seed"))
    await pipeline.cut()
    await pipeline.follow()
    at = pipeline.clock.now()
    for number in range(300):
        pipeline.publish(
            unused(f"wiki{number:03}", at - timedelta(days=20) + timedelta(minutes=number))
        )
    await pipeline.cut()
    gaps = [
        Gap(
            key=f"a{number}",
            datasource="名" * 200,
            reason="object_missing",
            detail="",
            opened=Offset(number // 200),
        )
        for number in range(300)
    ]

    async def known(*_: object) -> list[Gap]:
        return gaps

    monkeypatch.setattr(monitored.target, "gaps", known)
    await monitored.poller.look()
    async with monitored.served() as client:
        (found,) = (await client.document())["result"]["targets"]
    assert found["gap_count"] == 300
    assert [one["row"] for one in found["gaps"]] == [
        f"a{number}" for number in (*range(100), *range(200, 300))
    ]
    assert [one["datasource"] for one in found["kill_margins"]] == [
        f"wiki{number:03}" for number in range(200)
    ]


async def test_a_target_that_cannot_be_reached_keeps_its_last_status_and_lags_on():
    monitored = Monitored()
    pipeline = monitored.pipeline
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    await monitored.poller.look()
    seen = pipeline.clock.now().timestamp()
    monitored.target.away = True
    pipeline.clock.move(30)
    await monitored.poller.look()
    away = pipeline.clock.now()
    pipeline.clock.move(30)
    await monitored.poller.look()
    async with monitored.served() as client:
        assert await client.value("status_timestamp_seconds", target="standby") == seen
        assert await client.value("lag_seconds", target="standby") == 60
        (failure,) = (await client.document())["result"]["failures"]
        assert failure == {
            "what": "target standby",
            "since": away.isoformat(),
            "type": "TransientError",
            "message": "standby-db: connect: nobody is there",
            "hint": "look after it",
        }
        monitored.target.away = False
        await monitored.poller.look()
        assert (await client.document())["result"]["failures"] == []


async def test_before_the_first_look_there_is_no_status():
    monitored = Monitored()
    async with monitored.served() as client:
        assert (await client.document(status=503))["error"]["type"] == "NotYet"
        async with client.session.get("/readyz") as answer:
            assert (answer.status, await answer.text()) == (
                503,
                "not ready: nothing was looked at yet\n",
            )
        await monitored.poller.look()
        assert await client.text("/readyz") == "ready\n"
        monitored.poller.log = None
        assert await client.text("/healthz") == "ok\n"
        assert await client.value("lag_seconds", target="standby") is None


async def test_a_good_answer_has_a_result_while_the_first_look_goes_on():
    """A client that had asked before was answered 200 with the error of before."""
    looked = asyncio.Event()

    async def life(_: LogStatus) -> LifeSigns:
        looked.set()
        return await asyncio.Future[LifeSigns]()

    monitored = Monitored(life=life)
    async with monitored.served() as client:
        await client.document(status=503)
        looking = asyncio.create_task(monitored.poller.look())
        await looked.wait()
        assert "result" in await client.document()
        looking.cancel()
        await asyncio.wait({looking})


async def test_who_looks_does_so_until_told_to_stop():
    monitored, stop = Monitored(), asyncio.Event()
    running = asyncio.create_task(monitored.poller.run(stop))
    while monitored.poller.log is None:
        await soon()
    stop.set()
    await running


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_a_port_that_is_taken_is_an_error_of_the_configuration(host: str):
    monitored = Monitored()
    first = monitored.server(f"{host}:0")
    address = (await first.start()).removeprefix("http://")
    second = monitored.server(address)
    try:
        with pytest.raises(ConfigError, match=r"web\.listen: cannot listen at") as caught:
            await second.start()
        assert address in str(caught.value)
        assert "address already in use" in str(caught.value)
    finally:
        await second.close()
        await first.close()


async def test_an_address_that_is_not_ours_is_an_error_of_the_configuration():
    monitored = Monitored()
    server = monitored.server("203.0.113.1:9464")
    try:
        with pytest.raises(ConfigError, match=r"203\.0\.113\.1:9464"):
            await server.start()
    finally:
        await server.close()


async def test_other_formats_are_negotiated():
    monitored = Monitored()
    async with monitored.served() as client:
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with client.session.get("/metrics", headers=accept) as answer:
            assert answer.content_type == "application/openmetrics-text"
            assert (await answer.text()).endswith("# EOF\n")
        async with client.session.post("/metrics") as answer:
            assert answer.status == 405


async def test_a_format_that_is_none_is_text_and_no_line_in_the_log(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """Whoever reaches the port chooses the header, and needs no login for it."""

    def odd(accept: str) -> object:
        if accept:
            raise TypeError("a version that cannot be compared")
        return choose_encoder(accept)

    monkeypatch.setattr("replicator.web.server.choose_encoder", odd)
    monitored = Monitored()
    async with monitored.served() as client:
        capfd.readouterr()
        async with client.session.get("/metrics", headers={"Accept": "text/odd"}) as answer:
            assert (answer.status, answer.content_type) == (200, "text/plain")
    assert capfd.readouterr() == ("", "")


async def test_the_newest_drill_is_good_or_not_and_the_last_good_one_has_its_time():
    """Whoever ran it: a schedule's process, a person, or this process."""
    good, bad = made(), made(failure="the disk is full", days=1)
    for kept, is_good in (([good], 1), ([good, bad], 0)):
        monitored = Monitored()
        for one in kept:
            await DrillRecord(monitored.area).keep(one)
        await monitored.poller.look()
        async with monitored.served() as client:
            assert await client.value("drill_last_good", target="standby") == is_good
            told = await client.value("drill_last_success_timestamp_seconds", target="standby")
            assert told == good.ended_at.timestamp()


async def test_the_last_good_verification_of_each_level_has_its_time():
    monitored = Monitored()
    later = replace(PROOF, proved_at=PROOF.proved_at + timedelta(hours=1))
    for proof in (PROOF, replace(later, findings=1), replace(later, partial=True)):
        await monitored.area.create(proof.name, proof_json(proof))
    await monitored.poller.look()
    async with monitored.served() as client:
        name = "verify_last_success_timestamp_seconds"
        told = await client.value(name, target="standby", level="checksum")
        assert told == PROOF.proved_at.timestamp()


async def test_the_documentation_names_every_metric_and_no_other():
    monitored = Monitored()
    told = {family.name for family in monitored.metrics.registry.collect()}
    told.add("replicator_logged_time_seconds")  # once the log has a cut
    text = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text()
    table = text.partition("## Metrics")[2].partition("## Alerts")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {f"replicator_{name}" for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert {name.removesuffix("_total") for name in named} == told
    alerts = text.partition("## Alerts")[2]
    for used in re.findall(r"replicator_\w+", alerts):
        assert used in named


async def test_a_path_of_nothing_is_answered_with_those_of_something():
    """Each of them is there; the page is said to be elsewhere."""
    said = ""
    async with Monitored().served() as client:
        for path, status in (("/", 200), ("/page", 404), ("/status", 404)):
            async with client.session.get(path) as answer:
                said = await answer.text()
                assert (answer.status, "web.control.listen" in said) == (status, True)
        for path in re.findall(r"(?m)^  (/\S+)", said):
            async with client.session.get(path) as answer:
                assert answer.status in {200, 503}, path
