"""What is known of a log while it grows is what one pass over all of it would say."""

from dataclasses import replace
from unittest.mock import AsyncMock, patch

import pytest

from replicator.model.document import INT_MAX
from replicator.model.druid.payload import SIZE_BYTES_MAX
from replicator.model.event import Offset
from replicator.model.fingerprint import KEY_HASH_BYTES
from replicator.model.log.wire import encode
from replicator.model.row import key_of
from replicator.page.timeline import timeline
from replicator.ports import Span
from replicator.services.inspection import chronicle as chronicles
from replicator.services.inspection import segment_book
from replicator.services.inspection.chronicle import Chronicle, microseconds_of, time_of
from replicator.services.inspection.happenings import happenings
from replicator.services.inspection.segment_book import BookedSegment, SegmentBook
from tests.builders import changed, commit, envelope, json_bytes, segment, segment_payload
from tests.unit.pipeline import SIZE_BYTES, Pipeline

WIKI, ORDERS = segment(), segment("orders")
ALL = 10**6


async def story() -> Pipeline:
    pipeline = Pipeline()
    pipeline.publish(WIKI, ORDERS, segment("orders", 1), commit())
    await pipeline.cut()
    pipeline.clock.move(10)
    pipeline.source.rows[key_of(ORDERS)] = replace(ORDERS, used=False)
    await pipeline.cut()
    pipeline.clock.move(10)
    pipeline.kill(ORDERS)
    pipeline.publish(segment("visits"))
    await pipeline.cut()
    return pipeline


async def test_it_says_what_one_pass_says_however_it_is_read():
    pipeline = await story()
    expected = await happenings(pipeline.history(), limit=99, observer=pipeline.seen.append)
    chronicle = Chronicle(pipeline.history())
    looks = 1
    while not await chronicle.read_on(records_max=1):
        looks += 1
    assert looks > 1, "a look is bounded"
    assert list(chronicle.happenings) == expected
    assert [one.words for one in chronicle.harm] == [
        "orders: 1 of 2 marked unused",
        "orders: 1 removed; visits: 1 new",
    ]
    assert [one.harmed for one in chronicle.harm] == [("orders",), ("orders",)]
    assert (chronicle.last, chronicle.is_whole) == (expected[-1].cut, True)


async def test_events_that_come_while_a_look_reads_are_not_lost():
    """A watcher appends on between the look's question for the log's end and its read."""
    pipeline = await story()
    expected = await happenings(pipeline.history(), limit=99, observer=pipeline.seen.append)
    history = pipeline.history()
    span = await history.span()
    chronicle = Chronicle(history)
    for end in range(1, span.end):
        earlier = AsyncMock(return_value=replace(span, end=Offset(end)))
        with patch.object(history, "span", earlier):
            assert await chronicle.read_on(records_max=ALL)
        assert chronicle.read_until == end
    assert await chronicle.read_on(records_max=ALL)
    assert list(chronicle.happenings) == expected


async def test_what_there_is_now_is_counted_by_datasource():
    pipeline = await story()
    chronicle = Chronicle(pipeline.history())
    assert await chronicle.read_on(records_max=ALL)
    found = {
        name: (one.used, one.used_bytes, one.segments, one.size_bytes)
        for name, one in chronicle.datasources.items()
    }
    assert found == {
        WIKI.datasource: (1, SIZE_BYTES, 1, SIZE_BYTES),
        "orders": (1, SIZE_BYTES, 1, SIZE_BYTES),
        "visits": (1, SIZE_BYTES, 1, SIZE_BYTES),
    }


@pytest.mark.parametrize("size_bytes", [2**62 + 5, 2**63, 10**30, -1, SIZE_BYTES_MAX])
async def test_sizes_of_a_hostile_source_end_no_look(size_bytes: int):
    pipeline = Pipeline()
    for number in range(1, 3):
        payload = segment_payload(datasource="bad", partition=number, size=size_bytes)
        pipeline.publish(replace(segment("bad", number), payload=json_bytes(payload)), WIKI)
    await pipeline.cut()
    chronicle = Chronicle(pipeline.history())
    assert await chronicle.read_on(records_max=ALL)
    believed = size_bytes if size_bytes == SIZE_BYTES_MAX else 0
    assert chronicle.cuts.new_bytes.tolist() == [2 * believed + SIZE_BYTES]
    assert chronicle.datasources["bad"].size_bytes == 2 * believed


async def test_a_cut_says_no_more_bytes_than_64_bits_hold():
    pipeline = Pipeline()
    for number in range(1, 1_026):
        payload = segment_payload(partition=number, size=SIZE_BYTES_MAX)
        pipeline.publish(replace(segment(partition=number), payload=json_bytes(payload)))
    await pipeline.cut()
    chronicle = Chronicle(pipeline.history())
    assert await chronicle.read_on(records_max=ALL)
    assert chronicle.cuts.new_bytes.tolist() == [INT_MAX]
    time = time_of(int(chronicle.cuts.times_us[0]))
    (column,) = timeline(chronicle.cuts, begins=time, ends=time, columns_max=1).columns
    assert column.new_bytes == INT_MAX


async def test_cuts_are_columns_and_each_record_is_read_once():
    pipeline = await story()
    history = pipeline.history()
    chronicle = Chronicle(history)
    await chronicle.read_on(records_max=ALL)
    cuts = await history.cuts(Offset(0), (await history.span()).end)
    columns = chronicle.cuts
    assert columns.offsets.tolist() == [cut.offset for cut in cuts]
    assert columns.numbers.tolist() == [1, 2, 3]
    assert [time_of(one) for one in columns.times_us] == [cut.closed.source_time for cut in cuts]
    assert columns.events.tolist() == [cut.closed.count for cut in cuts]
    assert columns.lost.tolist() == [0, 1, 0], "what was unused already is not lost"
    assert columns.new_bytes.tolist() == [3 * SIZE_BYTES, 0, SIZE_BYTES]
    read = list[Offset]()
    raw = history.raw

    async def counted(start: Offset):
        found = await raw(start)
        read.extend(record.offset for record in found)
        return found

    history.raw = counted  # type: ignore[method-assign]
    await chronicle.read_on(records_max=ALL)
    assert read == [], "an up-to-date look reads nothing"
    pipeline.publish(segment("more"))
    await pipeline.cut()
    await chronicle.read_on(records_max=ALL)
    assert len(read) == len(set(read)) == 2
    assert chronicle.cuts.numbers.tolist() == [1, 2, 3, 4]


async def test_an_attempt_that_was_given_up_does_not_count():
    pipeline = await story()
    history = pipeline.history()
    chronicle = Chronicle(history)
    await chronicle.read_on(records_max=ALL)
    abandoned = encode(changed(replace(WIKI, used=False)), envelope(cut=4, epoch=9))
    writer = pipeline.log.reopen()
    await writer.acquire()
    await writer.append([abandoned])
    await chronicle.read_on(records_max=ALL)
    pipeline.watcher = pipeline.new_watcher()
    pipeline.publish(commit("other", commit_metadata_payload=b"{}"))
    await pipeline.cut()
    await chronicle.read_on(records_max=ALL)
    assert chronicle.happenings[-1].words == "stream offsets"
    assert chronicle.datasources[WIKI.datasource].used == 1


async def trimmed(*, kept: bool) -> tuple[Chronicle, Chronicle]:
    """Return what is known of a whole log, and of one whose start is gone."""
    pipeline = Pipeline()
    pipeline.publish(WIKI, ORDERS, segment("orders", 1), commit())
    await pipeline.cut()
    await pipeline.follow()
    for rows in ((segment("visits"),), (segment("visits", 1), segment("more"))):
        pipeline.publish(*rows)
        await pipeline.cut()
        await pipeline.follow()
    whole = Chronicle(pipeline.history())
    await whole.read_on(records_max=ALL)
    if not kept:
        pipeline.area.files.clear()
    pipeline.log.trim(Offset((await pipeline.log.span()).end - 2))
    chronicle = Chronicle(pipeline.history())
    while not await chronicle.read_on(records_max=ALL):
        pass
    return whole, chronicle


async def test_where_the_log_was_trimmed_it_begins_from_a_base():
    whole, chronicle = await trimmed(kept=True)
    assert chronicle.is_whole
    assert dict(chronicle.datasources) == dict(whole.datasources)
    begins, *happened = [one.words for one in chronicle.happenings]
    assert begins == "first filling: 3 segments of 2 datasources"
    assert happened == [
        "visits: 1 new",
        "more: 1 new; visits: 1 new",
    ]


async def test_where_no_base_is_left_it_says_that_it_does_not_know_all():
    whole, chronicle = await trimmed(kept=False)
    assert not chronicle.is_whole
    assert chronicle.last == whole.last
    assert len(chronicle.datasources) < len(whole.datasources)


async def test_another_log_is_another_story(monkeypatch: pytest.MonkeyPatch):
    pipeline = await story()
    history = pipeline.history()
    chronicle = Chronicle(history)
    await chronicle.read_on(records_max=ALL)

    async def other() -> Span:
        return Span(log_id="other", first=Offset(0), end=Offset(0))

    monkeypatch.setattr(history, "span", other)
    await chronicle.read_on(records_max=ALL)
    assert (len(chronicle.cuts), dict(chronicle.datasources), chronicle.last) == (0, {}, None)


async def test_the_oldest_cuts_are_forgotten_beyond_a_limit():
    pipeline = Pipeline()
    for number in range(25):
        pipeline.publish(segment("many", number))
        await pipeline.cut()
    chronicle = Chronicle(pipeline.history(), cuts_max=20)
    await chronicle.read_on(records_max=ALL)
    numbers = chronicle.cuts.numbers.tolist()
    assert len(numbers) <= 20
    assert numbers == list(range(26 - len(numbers), 26))
    assert chronicle.datasources["many"].segments == 25


def test_a_book_says_the_same_before_and_after_its_words_are_merged(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(segment_book, "MERGE_MIN", 3)
    book, plain = SegmentBook(), dict[bytes, BookedSegment]()
    for number in range(40):
        key = bytes([number % 7]) * KEY_HASH_BYTES
        if number % 5 == 4:
            book.put(key, None)
            plain.pop(key, None)
        else:
            plain[key] = BookedSegment(f"d{number % 3}", number % 2 == 0, number)
            book.put(key, plain[key])
        for other in range(7):
            one = bytes([other]) * KEY_HASH_BYTES
            assert book.get(one) == plain.get(one)
        segments = sum(one.segments for one in book.totals.values())
        size_bytes = sum(one.size_bytes for one in book.totals.values())
        used = sum(one.used for one in book.totals.values())
        assert segments == len(plain)
        assert size_bytes == sum(one.size_bytes for one in plain.values())
        assert used == sum(one.used for one in plain.values())


def test_times_are_whole_to_the_microsecond():
    time = Pipeline().clock.now()
    assert chronicles.time_of(microseconds_of(time)) == time
