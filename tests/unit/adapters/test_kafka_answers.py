"""A broker that answers in another form is tried again, and is no traceback."""

from typing import Any, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Response

from replicator.adapters.boundary import understood
from replicator.adapters.kafka.describing import ODD_HINT, _described
from replicator.adapters.kafka.session import KafkaSession
from replicator.adapters.kafka.topic import _values
from replicator.errors import TransientError

SESSION = KafkaSession(bootstrap_servers=("broker:9092",))
WHOLE = [("retention.ms", "-1", 0), ("min.insync.replicas", "2", 0), ("max.message.bytes", "9", 0)]


class Answer:
    def __init__(self, **said: Any) -> None:
        self.__dict__.update(said)


class Admin:
    """Says one thing of a topic's settings."""

    def __init__(self, *answers: Any) -> None:
        self._answers = answers

    async def describe_configs(self, _: object) -> list[Any]:
        return list(self._answers)


async def settings(*answers: Any) -> dict[str, str]:
    return dict(await _values(SESSION, cast("AIOKafkaAdminClient", Admin(*answers)), "log"))


def said(*entries: Any, code: int = 0) -> Answer:
    return Answer(resources=[(code, None, 2, "log", list(entries))])


async def test_settings_of_a_topic_are_read():
    found = await settings(said(*WHOLE, ("cleanup.policy", "delete", 0)))
    assert (found["retention.ms"], found["cleanup.policy"]) == ("-1", "delete")
    assert (await settings(said()))["min.insync.replicas"] == "0", "a broker that does not say it"


@pytest.mark.parametrize(
    "answers",
    [
        (),
        (Answer(resources=[]),),
        (Answer(),),
        (said(("retention.ms", "for ever", 0)),),
        (said(("retention.ms", None, 0)),),
        (said(7),),
    ],
)
async def test_settings_of_another_form_are_tried_again(answers: tuple[Any, ...]):
    with pytest.raises(TransientError, match="settings of topic log cannot be read") as caught:
        await settings(*answers)
    assert "log.bootstrap_servers" in caught.value.hint


@pytest.mark.parametrize("topics", [[], [(0, "log")], [(0, "log", "id", False, [(0, 0, 1, 1)])]])
def test_a_topic_of_another_form_is_tried_again(topics: list[Any]):
    answer = cast("Response", Answer(topics=topics))
    error = pytest.raises(TransientError, match="what it says cannot be read")
    with error, understood("what it says", ODD_HINT):
        _described(answer, "log")
