"""Status: how far a target is, what threatens what it has not, and which promises are broken."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from replicator.adapters.memory.area import MemoryArea
from replicator.adapters.memory.log import MemoryEventLog
from replicator.adapters.memory.workers import InPlaceWorkers
from replicator.adapters.signing.area import SignedArea
from replicator.errors import ConfigError, NotFoundError, RefusedError, TransientError
from replicator.model.event import Offset
from replicator.model.observation import LogBegun
from replicator.model.row import Segment
from replicator.model.store.proof import proof_json
from replicator.model.store.rates import Rates
from replicator.ports import DOCUMENT_BYTES_MAX
from replicator.services.history.reader import History
from replicator.services.monitoring.life import Ear
from replicator.services.monitoring.status import (
    LogStatus,
    Promises,
    SourceStatus,
    StatusReader,
    TargetStatus,
)
from replicator.services.monitoring.trouble import Seen, troubles
from replicator.services.records.drill_record import DrillRecord
from replicator.services.records.proof_record import last_proved
from replicator.services.target.rates import RateBook
from tests.builders import segment
from tests.unit.adapters.test_signing import rule
from tests.unit.pipeline import SOURCE, Pipeline
from tests.unit.services.drills.test_drills import made
from tests.unit.services.verification.test_proof import PROOF

PROMISES = Promises(
    rpo=timedelta(seconds=60),
    kill_margin_min=timedelta(days=1),
    log_margin_min=timedelta(days=1),
)
DAY = timedelta(days=1)


class CountedLog(MemoryEventLog):
    """Counts the records that are read."""

    records_read = 0

    async def read(self, start: Offset, *, records_max: int):
        found = await super().read(start, records_max=records_max)
        self.records_read += len(found)
        return found


def surveyed(pipeline: Pipeline, *, records_max: int | None = None, log=None) -> StatusReader:
    return StatusReader(
        source=SOURCE,
        history=History(
            log or pipeline.log.reopen(),
            source=SOURCE,
            workers=InPlaceWorkers(),
            records_per_read_max=5,
        ),
        clock=pipeline.clock,
        kill_buffer=30 * DAY,
        records_per_look_max=records_max,
    )


async def look(
    pipeline: Pipeline, status_reader: StatusReader | None = None, promises: Promises = PROMISES
) -> TargetStatus:
    status_reader = status_reader or surveyed(pipeline)
    log = await status_reader.log()
    return await status_reader.target(
        "standby", metadata=pipeline.target, area=pipeline.area, log=log, promises=promises
    )


async def seen_of(pipeline: Pipeline, *targets: TargetStatus, log: LogStatus) -> Seen:
    return Seen(
        life=await Ear(pipeline.log, pipeline.clock).life_signs(["standby"], log),
        source=SourceStatus(freshness=None, unknown="it is away"),
        log=log,
        targets=targets,
        failures={},
    )


def unused(datasource: str, since: datetime, partition: int = 0) -> Segment:
    text = since.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return segment(datasource, partition, used=False, used_status_last_updated=text)


async def pipeline_behind(*rows: Segment) -> Pipeline:
    """A target at the first cut; the rows come in the second, ten seconds later."""
    pipeline = Pipeline()
    pipeline.publish(segment("seed"))
    await pipeline.cut()
    await pipeline.follow()
    pipeline.publish(*rows)
    await pipeline.cut()
    return pipeline


async def test_a_target_that_has_all_is_threatened_by_nothing():
    pipeline = await pipeline_behind(segment())
    await pipeline.follow()
    found = await look(pipeline)
    assert found.pending is not None
    assert (found.pending.objects, found.pending.size_bytes) == (0, 0)
    assert (found.kill_margin, found.log_margin, found.trimmed) == (None, None, False)
    assert (found.lag_records, found.broken) == (0, ())


async def test_a_target_behind_says_what_waits_and_what_a_kill_could_take():
    pipeline = Pipeline()
    since = pipeline.clock.now() - 28 * DAY
    pipeline = await pipeline_behind(
        segment("wiki"), segment("wiki", 1), unused("orders", since), unused("orders", since, 1)
    )
    found = await look(pipeline)
    assert found.pending is not None
    assert (found.pending.objects, found.pending.size_bytes) == (4, 4 * 1967)
    assert found.pending.kill_margins == {
        "wiki": 30 * DAY,
        "orders": 2 * DAY - timedelta(seconds=20),
    }
    assert found.kill_margin == 2 * DAY - timedelta(seconds=20)
    assert found.broken == ()
    tight = replace(PROMISES, kill_margin_min=2 * DAY)
    assert (await look(pipeline, promises=tight)).broken == ("kill_margin_min",)


async def test_the_gaps_of_the_cut_that_a_target_is_at_are_told_and_no_others():
    pipeline = await pipeline_behind(segment("wiki"), segment("orders"))
    pipeline.source_storage.stored.clear()
    await pipeline.follow()
    assert {gap.datasource for gap in (await look(pipeline)).gaps} == {"wiki", "orders"}
    pipeline.kill(segment("orders"))
    await pipeline.cut()
    await pipeline.follow()
    assert [gap.datasource for gap in (await look(pipeline)).gaps] == ["wiki"]


async def test_a_target_with_nothing_needs_everything():
    pipeline = Pipeline()
    pipeline.publish(segment(), unused("orders", pipeline.clock.now() - 40 * DAY))
    await pipeline.cut()
    found = await look(pipeline)
    assert found.pending is not None
    assert found.pending.objects == 2
    assert found.kill_margin == -10 * DAY - timedelta(seconds=10)
    assert found.broken == ("rpo", "kill_margin_min")


async def test_a_source_that_never_kills_threatens_nothing():
    pipeline = await pipeline_behind(segment(used=False))
    status_reader = surveyed(pipeline)
    status_reader.kill_buffer = None
    found = await look(pipeline, status_reader)
    assert (found.kill_margin, found.broken) == (None, ())
    assert found.pending is not None
    assert found.pending.objects == 1


async def test_a_cut_that_is_not_closed_yet_is_not_needed_yet():
    pipeline = await pipeline_behind(segment())
    records = await pipeline.log.read(Offset(0), records_max=1)
    writer = pipeline.log.reopen()
    await writer.acquire()
    document = type("Doc", (), {"type": records[0].type, "data": records[0].data})
    await writer.append([document()])
    found = await look(pipeline)
    assert found.pending is not None
    assert (found.pending.objects, found.lag_records) == (1, 2)


# ------------------------------------------------------------------------------------- the promises


async def test_a_target_that_stands_may_lag_but_must_not_lose():
    pipeline = await pipeline_behind(unused("orders", Pipeline().clock.now() - 28 * DAY))
    kept = pipeline.target.sources[SOURCE]
    assert kept.checkpoint is not None
    pipeline.clock.move(1.5 * 86_400)
    assert (await look(pipeline)).broken == ("rpo", "kill_margin_min")
    kept.checkpoint = replace(kept.checkpoint, paused=True)
    assert (await look(pipeline)).broken == ("kill_margin_min",)


async def test_a_target_that_was_promoted_needs_nothing_of_its_source():
    pipeline = await pipeline_behind(unused("orders", Pipeline().clock.now() - 40 * DAY))
    kept = pipeline.target.sources[SOURCE]
    assert kept.checkpoint is not None
    kept.checkpoint = replace(kept.checkpoint, promoted=True)
    pipeline.clock.move(86_400)
    found = await look(pipeline)
    assert (found.pending, found.kill_margin, found.broken) == (None, None, ())


# ------------------------------------------------------------------------------ the log's retention


async def test_the_log_keeps_a_record_for_its_retention_from_its_append():
    pipeline = Pipeline()
    pipeline.log = MemoryEventLog(pipeline.clock, SOURCE, log_id="log", retention=7 * DAY)
    pipeline.watcher, pipeline.applier = pipeline.new_watcher(), pipeline.new_applier()
    pipeline.publish(segment("seed"))
    await pipeline.cut()
    await pipeline.follow()
    status_reader = surveyed(pipeline)
    assert (await look(pipeline, status_reader)).log_margin == 7 * DAY
    pipeline.publish(segment())
    await pipeline.cut()
    pipeline.clock.move(86_400)
    pipeline.publish(segment("wiki", 1))
    await pipeline.cut()
    found = await look(pipeline, status_reader)
    assert found.log_margin == 6 * DAY - timedelta(seconds=10)
    assert "log_margin_min" not in found.broken
    pipeline.clock.move(5 * 86_400)
    found = await look(pipeline, status_reader)
    assert found.log_margin == DAY - timedelta(seconds=10)
    assert "log_margin_min" in found.broken
    assert await pipeline.applier.apply_next()
    assert (await look(pipeline, status_reader)).log_margin == 2 * DAY
    await pipeline.follow()
    assert (await look(pipeline, status_reader)).log_margin == 7 * DAY


async def test_a_log_that_trimmed_what_is_needed_is_said_and_no_error():
    pipeline = await pipeline_behind(segment(), segment("orders"))
    checkpoint = pipeline.target.sources[SOURCE].checkpoint
    assert checkpoint is not None
    pipeline.log.trim(Offset(checkpoint.offset + 1))
    found = await look(pipeline)
    assert (found.trimmed, found.broken) == (False, ())
    pipeline.log.trim(Offset(checkpoint.offset + 2))
    found = await look(pipeline)
    assert (found.trimmed, found.pending, found.broken) == (True, None, ("log_margin_min",))


async def test_a_log_trimmed_behind_a_target_that_has_all_is_no_matter():
    pipeline = await pipeline_behind(segment())
    await pipeline.follow()
    pipeline.log.trim((await pipeline.log.span()).end)
    found = await look(pipeline)
    assert (found.trimmed, found.broken) == (False, ())


# ---------------------------------------------------------------------------------------- the price


async def test_a_look_reads_only_what_is_new_since_the_last_one():
    pipeline = await pipeline_behind(*(segment("wiki", number) for number in range(50)))
    log = CountedLog(pipeline.clock, SOURCE)
    log._stored = pipeline.log._stored
    status_reader = surveyed(pipeline, log=log)
    first = await look(pipeline, status_reader)
    read, log.records_read = log.records_read, 0
    again = await look(pipeline, status_reader)
    assert read > 50
    assert log.records_read == 0
    assert again.pending == first.pending
    pipeline.publish(segment("orders"))
    await pipeline.cut()
    found = await look(pipeline, status_reader)
    assert log.records_read < 25  # two of the cut, and looks back for its end
    assert found.pending is not None
    assert found.pending.objects == 51
    await pipeline.follow()
    log.records_read = 0
    found = await look(pipeline, status_reader)
    assert found.pending is not None
    assert (found.pending.objects, log.records_read) == (0, 0)


async def test_a_far_target_is_read_in_several_looks_and_told_when_it_is_known():
    pipeline = await pipeline_behind(*(segment("wiki", number) for number in range(22)))
    status_reader = surveyed(pipeline, records_max=10)
    looks = [(await look(pipeline, status_reader)).pending for _ in range(3)]
    assert [found and found.objects for found in looks] == [None, None, 22]


async def test_a_restore_in_place_makes_earlier_records_wait_again():
    pipeline = await pipeline_behind(segment(), segment("orders"))
    early = pipeline.target.sources[SOURCE].checkpoint
    status_reader = surveyed(pipeline)
    await look(pipeline, status_reader)
    await pipeline.follow()
    found = await look(pipeline, status_reader)
    assert found.pending is not None
    assert found.pending.objects == 0
    pipeline.target.sources[SOURCE].checkpoint = early
    found = await look(pipeline, status_reader)
    assert found.pending is not None
    assert found.pending.objects == 2


@pytest.mark.parametrize("log_id", ["log", "another"])
async def test_a_target_of_another_log_is_not_measured_by_this_one(log_id: str):
    pipeline = await pipeline_behind(segment())
    kept = pipeline.target.sources[SOURCE]
    assert kept.checkpoint is not None
    kept.checkpoint = replace(kept.checkpoint, log_id=log_id)
    assert ((await look(pipeline)).pending is None) == (log_id == "another")


async def test_no_log_is_an_empty_status():
    pipeline = Pipeline()
    found = await look(pipeline)
    assert (found.pending, found.lag_records, found.broken) == (None, None, ("rpo",))


async def test_a_drill_is_promised_and_a_store_that_is_away_changes_nothing_known():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    status_reader = surveyed(pipeline)
    promised = replace(PROMISES, rpo=30 * DAY, drill=7 * DAY)
    assert (await look(pipeline)).drilled.last_good is None
    assert (await look(pipeline, status_reader, promised)).broken == ("drill.promise",)
    good = replace(made(), ended_at=pipeline.clock.now())
    await DrillRecord(pipeline.area).keep(good)
    pipeline.clock.move(60)
    assert (await look(pipeline, status_reader, promised)).broken == ()

    async def away(prefix: str):
        raise TransientError("the store is away")

    pipeline.area.names = away  # type: ignore[method-assign]
    pipeline.clock.move(7 * 86_400 - 60)
    found = await look(pipeline, status_reader, promised)
    assert (found.drilled.last_good, found.broken) == (good, ())
    pipeline.clock.move(1)
    assert (await look(pipeline, status_reader, promised)).broken == ("drill.promise",)
    unseen = await look(pipeline, surveyed(pipeline), promised)
    assert (unseen.drilled.unknown, unseen.broken) == ("the store is away", ("drill.promise",))


async def test_when_all_was_last_verified_is_told_and_stays_known_while_the_store_is_away():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    status_reader = surveyed(pipeline)
    assert (await look(pipeline, status_reader)).proved == {}
    proof = replace(PROOF, proved_at=pipeline.clock.now())
    await pipeline.area.create(proof.name, proof_json(proof))
    pipeline.clock.move(60)
    assert (await look(pipeline, status_reader)).proved == {"checksum": proof.proved_at}

    async def away(prefix: str):
        raise TransientError("the store is away")

    pipeline.area.names = away  # type: ignore[method-assign]
    pipeline.clock.move(60)
    assert (await look(pipeline, status_reader)).proved == {"checksum": proof.proved_at}


async def test_a_proof_that_this_user_may_not_read_is_said():
    """As one that root has left; those that can be read count all the same."""
    pipeline = Pipeline()
    older = replace(PROOF, proved_at=PROOF.proved_at - timedelta(days=9))
    for proof in (older, PROOF):
        await pipeline.area.create(proof.name, proof_json(proof))
    get = pipeline.area.get

    async def denied(name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        if name == PROOF.name:
            raise ConfigError(f"cannot read {name}: permission denied")
        return await get(name, bytes_max=bytes_max)

    pipeline.area.get = denied  # type: ignore[method-assign]
    status_reader = surveyed(pipeline)
    found = await look(pipeline, status_reader)
    assert found.proved == {"checksum": older.proved_at}
    seen = await seen_of(pipeline, found, log=await status_reader.log())
    (trouble,) = [one for one in troubles(seen) if "results of `verify`" in one.what]
    assert f"cannot be read: cannot read {PROOF.name}: permission denied" in trouble.what
    assert trouble.remedy == "check"


async def test_a_proof_that_nobody_believes_keeps_no_status_good():
    """Its name says good; the file is none of ours, or is signed by nobody."""
    area = MemoryArea()
    ours = SignedArea(area, rule())
    older = replace(PROOF, proved_at=PROOF.proved_at - timedelta(days=9))
    await ours.create(older.name, proof_json(older))
    await area.create(PROOF.name, proof_json(PROOF))
    assert (await last_proved(ours, now=PROOF.proved_at)).good_at == {"checksum": older.proved_at}
    assert (await last_proved(SignedArea(area, None), now=PROOF.proved_at)).good_at == {
        "checksum": PROOF.proved_at
    }
    await area.replace(PROOF.name, b"")
    assert (await last_proved(SignedArea(area, None), now=PROOF.proved_at)).good_at == {
        "checksum": older.proved_at
    }


async def test_how_long_what_waits_takes_is_told_by_what_was_measured():
    pipeline = await pipeline_behind(segment("wiki"), segment("wiki", 1))
    await pipeline.area.replace("rates.json", b"{")  # the first cut was measured
    found = await look(pipeline)
    assert (found.rates, found.catch_up) == (Rates(), None), "nothing is known"
    book = RateBook(pipeline.area, lambda _: None)
    await book.copied(1967, 1, 0.5)
    await book.wrote(30, 10.0)
    await book.keep()
    found = await look(pipeline)
    assert found.rates.bytes_per_s == 2 * 1967
    assert found.lag_records == 3
    assert found.catch_up == timedelta(seconds=1 + 1)
    await pipeline.follow()
    assert (await look(pipeline)).catch_up is None, "nothing waits"


class GoneLog(MemoryEventLog):
    """A log of which there is nothing."""

    async def span(self):
        raise NotFoundError("there is no such event log", hint="mount its volume")


async def test_a_target_whose_log_is_gone_keeps_no_promise():
    """Long before its lag says so: nothing can reach it any more."""
    pipeline = Pipeline()
    assert not (await look(pipeline)).log_gone, "there was none yet"
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    assert (await look(pipeline)).broken == ()
    status_reader = surveyed(pipeline, log=GoneLog(pipeline.clock, SOURCE, log_id="log"))
    found = await look(pipeline, status_reader)
    assert (found.log_gone, found.broken) == (True, ("rpo",))
    seen = await seen_of(pipeline, found, log=await status_reader.log())
    (trouble,) = [one for one in troubles(seen) if "log that it follows" in one.what]
    mended, _, last_resort = trouble.what.partition("Only if it is lost for good")
    assert mended.endswith("is not there: there is no such event log; mount its volume. ")
    assert "`replicator apply standby --new-log`" in last_resort
    assert not trouble.remedy, "whoever types the one command that is printed parts the two"


async def test_what_follows_one_log_that_is_away_is_told_together():
    pipeline = Pipeline()
    await pipeline.cut()
    await pipeline.follow()
    status_reader = surveyed(pipeline, log=GoneLog(pipeline.clock, SOURCE, log_id="log"))
    found = await look(pipeline, status_reader)
    seen = await seen_of(pipeline, found, log=await status_reader.log())
    seen = replace(seen, targets=[found, replace(found, target="vault")])
    (trouble,) = [one for one in troubles(seen) if "is not there" in one.what]
    assert trouble.what.startswith("standby and vault: the log that they follow is not there")


async def test_a_log_that_was_put_back_to_an_older_copy_is_no_lag():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    del pipeline.log._stored.records[1:]
    pipeline.log._stored.end = Offset(1)
    status_reader = surveyed(pipeline)
    found = await look(pipeline, status_reader)
    assert (found.cut_short, found.broken) == (True, ("rpo",))
    [said] = troubles(await seen_of(pipeline, found, log=await status_reader.log()))[-1:]
    assert "the log ends at 1: it was put back to an older copy" in said.what
    assert "`replicator apply standby --new-log`" in said.what


async def test_a_target_that_follows_a_cut_during_the_look_has_no_lost_log():
    """The log was read first; the hint would be to move it away, and every alert would fire."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    status_reader = surveyed(pipeline)
    log = await status_reader.log()
    pipeline.publish(segment("later"))
    await pipeline.cut()
    await pipeline.follow()
    found = await status_reader.target(
        "standby",
        metadata=pipeline.target,
        area=pipeline.area,
        log=log,
        promises=PROMISES,
    )
    assert found.checkpoint is not None
    assert found.checkpoint.offset >= log.first + log.records
    assert (found.cut_short, found.broken, found.lag_records) == (False, (), 0)


async def test_a_new_log_is_told_of_once():
    pipeline = Pipeline()
    await pipeline.cut()
    pipeline.watcher = pipeline.new_watcher()
    pipeline.publish(segment())
    await pipeline.cut()
    assert [one for one in pipeline.seen if isinstance(one, LogBegun)] == [LogBegun(log_id="log")]


async def test_what_a_verification_found_is_wrong_until_one_finds_it_good():
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.follow()
    bad = replace(PROOF, findings=2)
    await pipeline.area.create(bad.name, proof_json(bad))
    log = await surveyed(pipeline).log()
    seen = await seen_of(pipeline, await look(pipeline), log=log)
    (said,) = [one for one in troubles(seen) if "verify" in one.what]
    assert "found 2 differences at level checksum" in said.what
    assert said.remedy == "repair standby"
    assert seen.targets[0].checkpoint is not None
    promoted = replace(seen.targets[0].checkpoint, promoted=True)
    alone = replace(seen, targets=[replace(seen.targets[0], checkpoint=promoted)])
    assert not [one for one in troubles(alone) if "verify" in one.what], "it goes its own way"
    good = replace(PROOF, proved_at=PROOF.proved_at + timedelta(seconds=1))
    await pipeline.area.create(good.name, proof_json(good))
    seen = await seen_of(pipeline, await look(pipeline), log=log)
    assert not [one for one in troubles(seen) if "verify" in one.what]


async def test_a_store_that_gets_its_id_between_two_looks_is_the_targets_own():
    """A look before the first filling sees no id, and the next one comes within the minute."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    reader = surveyed(pipeline)
    assert (await look(pipeline, reader)).checkpoint is None
    await pipeline.follow()
    assert (await look(pipeline, reader)).lag_records == 0


async def test_a_target_without_a_checkpoint_whose_store_the_log_remembers_is_refused():
    """An emptied archive is no new one."""
    pipeline = Pipeline()
    pipeline.publish(segment())
    await pipeline.cut()
    await pipeline.log.report("standby", Offset(1), "the-one-before")
    with pytest.raises(RefusedError, match="followed in another store, with id the-one-before"):
        await look(pipeline)
