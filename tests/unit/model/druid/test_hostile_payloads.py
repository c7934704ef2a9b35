"""What somebody wrote into a row of a source is that row's trouble: no more of it is ever raised.

Druid writes none of this; whoever can write to the source's metadata store can.
"""

import json
from collections.abc import Callable

import pytest

from replicator.errors import MalformedRowError
from replicator.model.document import CONTAINERS_MAX, DEPTH_MAX
from replicator.model.druid import smile
from replicator.model.druid.cluster_config import COORDINATOR, ConfigParts, configuration
from replicator.model.druid.load_rules import LoadRules
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.druid.payload import parse, with_changed_member
from replicator.model.druid.release import release_of
from replicator.model.load_spec import AzureLayout, HdfsLayout, Layout, Location
from replicator.model.log.peek import ID_CHARS_MAX, segment_name
from replicator.model.log.row_mapping import check_segment
from replicator.model.row import ConfigEntry
from tests.builders import segment

HALF = "\ud800"
"""Half of a pair of surrogates, which JSON can say by an escape alone."""
RULES = b'[{"type":"loadForever","tieredReplicants":{"hot":%s},"x":%s},{"type":"dropForever"}]'
HEADER = b":)\n\x04"


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def shown(found: dict[str, object]) -> dict[str, object]:
    raise MalformedRowError(f"it names {found!r}")


READERS: dict[str, Callable[[bytes], object]] = {
    "parsed": lambda value: parse(b'{"a":%s}' % value),
    "checked": lambda value: check_segment(segment(payload=b'{"dataSource":%s}' % value)),
    "written again": lambda value: with_changed_member(
        b'{"loadSpec":{"a":%s}}' % value, "loadSpec", lambda found: {**found, "b": 1}
    ),
    "shown": lambda value: with_changed_member(b'{"loadSpec":{"a":%s}}' % value, "loadSpec", shown),
    "in rules": lambda value: LoadRules().mapped(RULES % (b"1", value)),
    "taken over": lambda value: configuration(
        {COORDINATOR: ConfigEntry(name=COORDINATOR, payload=b'{"a":%s}' % value)}, {}, ConfigParts()
    ),
}


@pytest.mark.parametrize("how", READERS)
def test_no_depth_of_a_payload_ends_what_reads_it(how: str):
    """Between what can be read and what can be written again lies one level or two, or three."""
    refused = 0
    for depth in (*range(DEPTH_MAX - 5, DEPTH_MAX + 5), *range(750, 1000)):
        try:
            READERS[how](nested(depth))
        except MalformedRowError:
            refused += 1
    assert how == "taken over" or refused >= 250


def test_brackets_in_texts_are_no_depth():
    many = "[{" * 10 * DEPTH_MAX
    assert parse(json.dumps({"a": many, "b": [many] * 3}).encode())["a"] == many
    assert parse(json.dumps({"a": [[]] * 10 * DEPTH_MAX}).encode())


@pytest.mark.parametrize("how", sorted(READERS.keys() - {"taken over"}))
def test_a_payload_of_very_many_values_is_one_rows_trouble(how: str):
    """Each takes three bytes of a row, and some sixty in memory."""
    with pytest.raises(MalformedRowError, match="values, or objects"):
        READERS[how](b"[" + b"[]," * CONTAINERS_MAX + b"[]]")


def test_half_a_pair_of_surrogates_is_written_as_it_was():
    """What a row's payload says stays, although UTF-8 cannot say it."""
    said = json.dumps(HALF).encode()
    rules = LoadRules().mapped(RULES % (b"1", said))
    assert json.loads(rules) == [{"type": "loadForever", "tieredReplicants": {"hot": 1}, "x": HALF}]
    older = OlderDruid(release=release_of("25.0.0"))
    payload = {"shardSpec": {"type": "dim_value_set", "partitionNum": 0, "dimensions": [HALF]}}
    changed = json.loads(older.segment(json.dumps(payload).encode()))
    assert changed["shardSpec"] == {"type": "numbered", "partitionNum": 0, "dimensions": [HALF]}
    entry = ConfigEntry(name=COORDINATOR, payload=b'{"a":%s}' % said)
    (row,) = configuration({COORDINATOR: entry}, {}, ConfigParts()).rows
    assert json.loads(row.payload) == {"a": HALF}


@pytest.mark.parametrize("count", [b'"2"', b"null", b"[2]", b"{}"])
def test_replicants_that_are_no_number_are_one_rows_trouble(count: bytes):
    rules = LoadRules(tiers={"hot": "warm"})
    with pytest.raises(MalformedRowError, match="no number of replicants into tier 'hot'"):
        rules.mapped(RULES % (count, b"1"))
    assert rules.mapped(b'[{"type":"loadForever","tieredReplicants":{"hot":2.0}}]').endswith(
        b'{"warm":2.0}}]'
    )


@pytest.mark.parametrize(
    "layout",
    [
        AzureLayout(container="c", prefix="p"),
        HdfsLayout(filesystem="hdfs://one", root="/druid"),
    ],
    ids=["azure", "hdfs"],
)
def test_a_place_of_many_digits_is_refused_at_once(layout: Layout):
    """It took hours, in which nothing else was copied."""
    with pytest.raises(MalformedRowError, match="bytes, a"):
        layout.own_location(Location(f"{'1' * 500_000}/index.zip"))


def test_an_id_of_many_intervals_takes_no_more_memory_than_others():
    """It took the square of its length: gigabytes for a megabyte."""
    one = "_2024-01-01T00:00:00.000Z_2024-01-02T00:00:00.000Z"
    assert segment_name(f"wiki{one * 20_000}_v1") is None
    name = segment_name(f"{'w' * (ID_CHARS_MAX - 100)}{one}_v1")
    assert name is not None
    assert str(name.interval) == "2024-01-01T00:00:00.000Z/2024-01-02T00:00:00.000Z"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xe8\x81\xff\xff", "damaged Smile"),
        (b"\x24" + b"\x7f" * 500_000 + b"\x80", "more than 64 bits"),
        (b"\xe8" + b"\x7f" * 500_000 + b"\x80", "more than 64 bits"),
        (b"\xe8\x7f\x7f\x7f\x80", "cut short"),
    ],
    ids=["bits that are too many", "a long number", "a long size", "a size that is not there"],
)
def test_numbers_and_bytes_of_damaged_smile_are_refused(data: bytes, words: str):
    with pytest.raises(MalformedRowError, match=words):
        smile.loads(HEADER + data)


def test_seven_bits_of_many_bytes_are_read_at_once():
    """A value of a megabyte took a minute and a half."""
    for size in (0, 1, 6, 7, 8, 13, 14, 1 << 20):
        groups = bytearray(-(-size * 8 // 7))
        if groups:
            groups[0] = 1 << 6
        found = smile.loads(HEADER + b"\xe8" + _number(size) + bytes(groups))
        assert isinstance(found, bytes)
        assert (len(found), found[:1]) == (size, b"\x80" if size else b"")


def _number(number: int) -> bytes:
    parts = [number & 0x3F | 0x80]
    while number := number >> (6 if len(parts) == 1 else 7):
        parts.append(number & 0x7F)
    return bytes(reversed(parts))
