"""What is said of a topic that would lose history can be typed, or says what else can be done."""

from replicator.adapters.kafka.describing import Described
from replicator.adapters.kafka.session import KafkaSession
from replicator.adapters.kafka.topic import TopicSettings, _mended_by, _problems

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


def test_what_no_setting_mends_has_another_way():
    alone = Described(id="1", partitions=1, replicas=1, in_sync=1)
    said = _mended_by(SESSION, alone, WANTED.configs, WANTED)
    assert said.startswith("kafka-reassign-partitions.sh --bootstrap-server kafka-1:9092 adds")
    many = Described(id="1", partitions=3, replicas=3, in_sync=3)
    assert "log.topic_prefix" in _mended_by(SESSION, many, WANTED.configs, WANTED)
