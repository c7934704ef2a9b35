"""What is said of a topic that would lose history can be typed, or says what else can be done."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from replicator.adapters.kafka import topic
from replicator.adapters.kafka.describing import Described
from replicator.adapters.kafka.session import KafkaSession
from replicator.adapters.kafka.topic import (
    TopicSettings,
    _mended_by,
    _problems,
    duration_of,
    note,
)
from replicator.errors import TransientError

WANTED = TopicSettings(
    name="replicator.prod.changes",
    replication_factor=3,
    min_insync_replicas=2,
    record_bytes_max=1 << 20,
)
FOUND = Described(id="1", partitions=1, replicas=3, in_sync=3)
SESSION = KafkaSession(bootstrap_servers=("kafka-1:9092", "kafka-2:9092"))


def test_each_wrong_setting_is_in_the_command_with_its_value():
    values = {**WANTED.configs, "cleanup.policy": "compact", "retention.ms": "1000"}
    assert len([*_problems(FOUND, values, WANTED)]) == 2
    assert _mended_by(SESSION, FOUND, values, WANTED) == (
        "kafka-configs.sh --bootstrap-server kafka-1:9092 --alter --topic replicator.prod.changes"
        " --add-config cleanup.policy=delete,retention.ms=-1; or correct `log`"
    )


@pytest.mark.parametrize(
    ("retention_ms", "found"),
    [(-1, None), (2**63 - 1, None), (86_400_000, timedelta(days=1))],
)
def test_the_longest_retention_is_for_ever(retention_ms: int, found: timedelta | None):
    """Many set the largest number instead of -1, and no date has so much added to it."""
    assert duration_of(retention_ms) == found


def test_what_no_setting_mends_has_another_way():
    alone = Described(id="1", partitions=1, replicas=1, in_sync=1)
    said = _mended_by(SESSION, alone, WANTED.configs, WANTED)
    assert said.startswith("kafka-reassign-partitions.sh --bootstrap-server kafka-1:9092 adds")
    many = Described(id="1", partitions=3, replicas=3, in_sync=3)
    assert "log.topic_prefix" in _mended_by(SESSION, many, WANTED.configs, WANTED)


class Admin:
    """Of a cluster that has not had a group yet: there is no coordinator for some questions."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    async def list_consumer_group_offsets(self, *_: object, **__: object) -> dict[object, object]:
        self.refusals -= 1
        if self.refusals >= 0:
            raise GroupCoordinatorNotAvailableError
        return {}


def with_refusals(monkeypatch: pytest.MonkeyPatch, refusals: int) -> None:
    @asynccontextmanager
    async def admin(_: KafkaSession) -> AsyncIterator[Admin]:
        yield Admin(refusals)

    monkeypatch.setattr(topic, "_admin", admin)
    monkeypatch.setattr(topic, "APPEARS_POLL_S", 0.001)


async def test_a_cluster_that_never_had_a_group_is_given_time_to_answer_for_the_first(
    monkeypatch: pytest.MonkeyPatch,
):
    """Kafka makes a topic for them when it is first asked: `check` called that BAD."""
    with_refusals(monkeypatch, 3)
    assert await note(SESSION, WANTED.name, "group") is None


async def test_a_coordinator_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch):
    with_refusals(monkeypatch, 1 << 30)
    hasty = KafkaSession(bootstrap_servers=("kafka-1:9092",), request_timeout_s=0.05)
    with pytest.raises(TransientError, match="ask Kafka at kafka-1:9092 for group group"):
        await note(hasty, WANTED.name, "group")
