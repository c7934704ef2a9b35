"""Workers sum up what a plan's rows do, and what one record costs is counted in calls."""

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import numpy as np
import pytest

from replicator.errors import CorruptionError
from replicator.model.druid.interval import ETERNITY, interval
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.druid.payload import SIZE_BYTES_MAX
from replicator.model.druid.release import release_of
from replicator.model.event import Record
from replicator.model.fingerprint import fingerprint, key_hash
from replicator.model.inventory.ledger import KEY, Keys
from replicator.model.load_spec import LocalLayout
from replicator.model.log.effects import EffectShare, EffectShares
from replicator.model.log.folded_rows import BatchRows, FoldedRows
from replicator.model.log.peek import summary_of
from replicator.model.log.reading import Mapped, OfKinds, Recorded, Rule, Scope, read
from replicator.model.log.row_mapping import RowMapping
from replicator.model.log.tally import Tally, tally
from replicator.model.row import REPLICATED, TABLES, Kind, Segment, key_of
from tests.builders import changed, config_entry, cut_closed, json_bytes, record, rules, segment

RECORDED = Recorded()
DAY, DECADE = interval("2024-05-01", "2024-05-02"), interval("2020-01-01", "2030-01-01")
LATER = segment("wiki", 1, start="2029-01-01T00:00:00.000Z", end="2030-01-01T00:00:00.000Z")
EARLIER = segment("wiki", 2, start="2020-01-01T00:00:00.000Z", end="2020-01-02T00:00:00.000Z")


def records(*rows: Segment) -> list[Record]:
    return [record(changed(row), offset=at) for at, row in enumerate(rows)]


def keys_of(*rows: Segment) -> Keys:
    return np.sort(np.array([key_hash(key_of(row)) for row in rows], KEY))


def test_a_segment_that_comes_is_gained_and_the_time_reaches_from_the_first_to_the_last():
    found = tally(records(LATER, EARLIER, replace(LATER, id="other", used=False))).shares
    assert (found.lost, found.gained) == ({}, {"wiki": EffectShare(2, DECADE)})


def test_a_row_that_was_used_is_lost_where_it_is_no_longer_and_else_nothing():
    unused, stays, comes = replace(LATER, used=False), EARLIER, segment("wiki", 3)
    rows = records(unused, stays, comes)
    found = tally(rows, used_before=keys_of(unused, stays)).shares
    assert {name: share.count for name, share in found.lost.items()} == {"wiki": 1}
    assert {name: share.count for name, share in found.gained.items()} == {"wiki": 1}


def test_rows_of_other_tables_have_no_share():
    found = tally([record(changed(rules("wiki"))), record(changed(config_entry()))])
    assert (found.segments, found.shares, found.by_datasource["wiki"]) == (0, EffectShares(), 1)


def test_shares_of_several_workers_add_up():
    whole = EffectShares()
    for one in (LATER, EARLIER):
        whole.take(tally(records(one)).shares)
    assert whole == tally(records(LATER, EARLIER)).shares


def test_an_interval_that_cannot_be_read_is_all_of_time():
    found = summary_of(record(changed(segment(start="never"))))
    assert (found.used, found.interval) == (True, ETERNITY)
    assert summary_of(record(changed(segment()))).interval != ETERNITY


# ------------------------------------------------------------------------------- what it costs


def mapping(release: str | None = None) -> RowMapping:
    return RowMapping(
        source=LocalLayout(root="/druid/segments"),
        target=LocalLayout(root="/standby"),
        config_names=frozenset(),
        columns={kind: frozenset(TABLES[kind].columns) for kind in REPLICATED},
        druid=OlderDruid(release=None if release is None else release_of(release)),
    )


def calls(work: Callable[[], object]) -> Counter[str]:
    """Return the names of what is called, after everything that is remembered is known."""
    work()
    found = Counter[str]()

    def count(frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            found[frame.f_code.co_name] += 1
        elif event == "c_call":
            found[getattr(arg, "__name__", "?")] += 1

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return found


@pytest.mark.parametrize(("release", "calls_max"), [(None, 150), ("33.0.0", 165)])
def test_a_record_is_parsed_once_and_hashed_twice_besides_its_key(
    release: str | None, calls_max: int
):
    """Once for the source's fingerprint, which is proved, and once for the target's."""
    rows = records(*[segment("wiki", n) for n in range(50)])
    rule = Mapped(mapping=mapping(release), scope=Scope())
    found = calls(lambda: read(rows, source="prod", rule=rule))
    assert found["openssl_sha256"] == 3 * len(rows)
    assert found["row_text"] == len(rows)
    assert found.total() / len(rows) <= calls_max


def test_a_tally_reads_a_record_in_few_calls():
    rows = records(*[segment("wiki", n) for n in range(50)])
    assert calls(lambda: tally(rows)).total() / len(rows) <= 22


def test_an_altered_column_and_an_altered_payload_are_refused_by_offset():
    row = segment("wiki")
    for other in (replace(row, version="v"), replace(row, payload=row.payload + b" ")):
        altered = record(replace(changed(other), fingerprint=fingerprint(row)), offset=17)
        with pytest.raises(CorruptionError, match="offset 17 does not match its own fingerprint"):
            read([altered], source="prod", rule=Mapped(mapping=mapping(), scope=Scope()))


# ------------------------------------------------------------------- totals that come with a fold


def rows_of(records: list[Record], rule: Rule = RECORDED) -> BatchRows:
    found = read(records, source="prod", rule=rule, for_totals=True).rows
    assert found is not None
    return found


def total(folded: FoldedRows, *picks: int) -> tuple[list[int], Tally]:
    """Return the picks of which nothing is known, and the sum of what is."""
    left, found = folded.tallies(np.array(picks, np.int64))
    tallies, shares = list(found), EffectShares()
    for one in tallies:
        shares.take(one.shares)
    return left.tolist(), Tally(
        segments=sum(one.segments for one in tallies),
        objects=sum(one.objects for one in tallies),
        size_bytes=sum(one.size_bytes for one in tallies),
        by_datasource=sum((one.by_datasource for one in tallies), Counter()),
        shares=shares,
    )


def test_totals_of_a_fold_are_those_of_its_records():
    """Also of some of its rows, in several batches, and where sizes are beyond 64 bits together."""
    huge = json_bytes({"size": SIZE_BYTES_MAX})
    rows = records(LATER, replace(EARLIER, used=False), *[segment(payload=huge)] * 1_100)
    rows.append(record(changed(rules("wiki")), offset=5_000))
    rows.append(record(changed(config_entry()), offset=5_001))
    folded = FoldedRows()
    for start in range(0, len(rows), 1_101):
        folded.add(rows_of(rows[start : start + 1_101]))
    for some in (rows, rows[:1], rows[1:2], rows[1:-1], rows[::2], rows[-2:], []):
        assert total(folded, *[one.offset for one in some]) == ([], tally(some))


def test_rows_that_do_not_count_are_in_no_total():
    rows = [record(changed(segment()), offset=1), record(changed(rules()), offset=2)]
    found = rows_of(rows, OfKinds(kinds=frozenset({Kind.RULES})))
    assert found.offsets.tolist() == [2]
    assert read(rows, source="prod", rule=RECORDED).rows is None


def test_what_is_not_known_is_left_and_nothing_is_counted_twice():
    folded, rows = FoldedRows(rows_max=3), records(LATER, EARLIER)
    folded.add(rows_of([record(cut_closed(), offset=9)]))
    folded.add(rows_of(rows))
    folded.add(rows_of(rows[1:]))
    assert total(folded, 0, 1, 7) == ([7], tally(rows))
    folded.add(rows_of([record(changed(segment()), offset=7)]))
    assert total(folded, 0, 1, 7)[0] == [7], "one more than it may hold"
    folded.forget()
    assert total(folded, 0, 1, 7)[0] == [0, 1, 7]
