"""A record that another program wrote to the log's topic is damage, by its offset."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord

from replicator.adapters.kafka.heir import KafkaHeir
from replicator.adapters.kafka.log_place import (
    ACQUIRED,
    CONTINUES,
    MOVED,
    LogPlace,
    _tail,
    headers,
    moved_to,
    records_of,
)
from replicator.adapters.kafka.reader import PartitionReader
from replicator.adapters.kafka.session import KafkaSession
from replicator.adapters.kafka.topic import TopicSettings
from replicator.errors import CorruptionError
from replicator.model.event import Epoch, Offset

OURS = headers("segment.published", Epoch(3))


def consumed(
    said: Sequence[tuple[str, bytes | None]], value: bytes | None = b"{}", time_ms: int = 1000
) -> Any:
    return ConsumerRecord(
        topic="log", partition=0, offset=7, timestamp=time_ms, timestamp_type=0, key=None,
        value=value, checksum=None, serialized_key_size=0, serialized_value_size=0,
        headers=tuple(said),
    )  # fmt: skip


def read(found: Any) -> object:
    """Do with it what each read of the log does."""
    moved_to([found])
    _tail(found)
    return records_of([found], 0)


def test_a_record_of_ours_is_read():
    assert read(consumed(OURS))


@pytest.mark.parametrize(
    "found",
    [
        consumed([]),
        consumed([("any", b"header")]),
        consumed([("any", b"header"), ("ce_type", b"\xff"), ("epoch", b"3")]),
        consumed([*OURS[:2], ("epoch", b"three")]),
        consumed([OURS[0], ("ce_type", None), OURS[2]]),
        consumed([*OURS[:2], ("epoch", None)]),
        consumed([*OURS[:2], ("epoch", b"-1")]),
        consumed([*OURS[:2], ("epoch", b"9223372036854775807")]),
        consumed(OURS, value=None),
        consumed(headers(ACQUIRED, Epoch(3)), time_ms=2**63 - 1),
        consumed(headers(ACQUIRED, Epoch(3)), time_ms=253_000_000_000_000),
        consumed(OURS, time_ms=2**63 - 1),
        consumed(headers(MOVED, Epoch(3)), value=None),
        consumed(headers(MOVED, Epoch(3)), value=b"[7]"),
        consumed(headers(MOVED, Epoch(3)), value=b"{"),
    ],
    ids=[
        "no header", "another header", "a type that is no text", "an epoch that is no number",
        "a type without a value", "an epoch without a value", "an epoch below 0", "the last epoch",
        "no value of an event", "a writer's time that is none", "a writer's time in the year 9987",
        "a time that is none", "no value", "a value of another kind", "a value that is cut short",
    ],
)  # fmt: skip
def test_a_record_of_another_program_is_damage_and_no_traceback(found: Any):
    with pytest.raises(CorruptionError) as caught:
        read(found)
    assert "offset" in str(caught.value)
    assert "another program wrote it" in str(caught.value)
    assert "acls" in caught.value.hint


@pytest.mark.parametrize(
    "value",
    [None, b"", b"log-1", b"log-1 many", b"../log-1 3", b"log-1\x1b 3", b"log-1 " + b"9" * 30],
)
def test_a_place_that_is_none_of_ours_is_damage(value: bytes | None):
    with pytest.raises(CorruptionError, match="no place of its log"):
        read(consumed([*OURS, (CONTINUES, value)]))
    assert LogPlace.of(b"log-1 -3") == ("log-1", -3)


class OneRecord:
    """A `PartitionReader` of a topic with one record."""

    def __init__(self, found: Any) -> None:
        self._found = found

    async def read(self, start: int, *, records_max: int) -> Sequence[Any]:
        del records_max
        return [self._found] if start <= self._found.offset else []


@pytest.mark.parametrize("found", [consumed([]), consumed(OURS, time_ms=2**63 - 1)])
async def test_a_move_into_a_topic_of_another_program_names_it(found: Any):
    topic = TopicSettings(
        name="log", replication_factor=1, min_insync_replicas=1, record_bytes_max=1 << 20
    )
    heir = KafkaHeir(cast("KafkaSession", None), topic, transaction_timeout_s=60)
    heir._reader = cast("PartitionReader", OneRecord(found))
    with pytest.raises(CorruptionError, match="another program wrote it"):
        await heir.read(Offset(0), records_max=10)
