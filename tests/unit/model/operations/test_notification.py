"""What is told: each change once, however often it is looked at, signed as others check it."""

import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.config.operations.notifications import TOPICS
from replicator.errors import ConfigError
from replicator.model.operations.notification import (
    BAD_AND_GOOD,
    TEXT_MAX,
    Condition,
    Notification,
    Sighting,
    Topic,
    body_of,
    judged,
    key_of,
    signed_headers,
)

START = datetime(2026, 11, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BAD, GOOD = BAD_AND_GOOD[Topic.PROMISE]
looks = st.lists(st.tuples(st.integers(0, 90), st.booleans(), st.integers(0, 3)), max_size=40)


def sighting(is_bad: bool, mark: int = 0) -> Sighting:
    return Sighting(
        topic=Topic.PROMISE, target="standby", name="rpo", is_bad=is_bad, mark=mark, summary="s"
    )


def told(
    found: list[tuple[int, bool, int]], settle: timedelta = MINUTE
) -> list[tuple[datetime, str, Condition]]:
    """Look again and again, each time so many seconds after the last look."""
    now, condition, all_told = START, None, []
    for after_s, is_bad, mark in found:
        now += timedelta(seconds=after_s)
        condition, type_ = judged(condition, sighting(is_bad, mark), now=now, settle=settle)
        if type_ is not None:
            all_told.append((now, type_, condition))
    return all_told


@given(found=looks)
def test_bad_and_good_alternate_and_the_first_is_bad(found: list[tuple[int, bool, int]]):
    types = [type_ for _, type_, _ in told([(s, is_bad, 0) for s, is_bad, _ in found])]
    assert types[:1] in ([], [BAD])
    assert all(one != other for one, other in pairwise(types))


@given(found=looks)
def test_what_is_told_was_so_for_as_long_as_it_takes_to_settle(found: list[tuple[int, bool, int]]):
    for at, type_, condition in told(found):
        assert at - condition.since >= MINUTE
        assert condition.is_bad is (type_ == BAD)


@given(found=looks, repeats=st.integers(1, 3))
def test_a_look_that_is_repeated_tells_nothing_more(
    found: list[tuple[int, bool, int]], repeats: int
):
    """A restart looks at the same again, and a second process does."""
    again = [one for s, bad, mark in found for one in [(s, bad, mark), *[(0, bad, mark)] * repeats]]
    assert told(again) == told(found)


def test_a_clock_that_is_put_back_by_a_year_delays_what_is_told_by_no_more_than_it_settles():
    year_s = 365 * 86_400
    found = told([(0, False, 0), (year_s, True, 0), (-year_s, True, 0), (61, True, 0)])
    assert [type_ for _, type_, _ in found] == [BAD]


@given(found=looks)
def test_a_further_occurrence_is_told_while_it_is_bad(found: list[tuple[int, bool, int]]):
    marks = [condition.reported_mark for _, type_, condition in told(found) if type_ == BAD]
    assert marks == sorted(marks)


def test_a_promise_that_flaps_tells_nothing():
    assert told([(30, one % 2 == 0, 0) for one in range(20)]) == []


def test_what_was_mended_before_anything_was_told_is_not_told():
    assert told([(0, True, 0), (59, True, 0), (1, False, 0), (600, False, 0)]) == []


def test_of_what_happens_each_new_one_is_told_at_once():
    found = [(0, True, 7), (1, True, 7), (1, True, 8), (1, False, 0), (1, True, 8), (1, True, 9)]
    types = [type_ for _, type_, _ in told(found, timedelta(0))]
    assert types == [BAD, BAD, GOOD, BAD, BAD]


def notification(summary: str = "it broke") -> Notification:
    return Notification(
        id="an-id",
        type=BAD,
        at=START,
        source="prod",
        target="standby",
        name="rpo",
        summary=summary,
        details={"seconds": 90, "ended_at": START, "by": timedelta(1)},
    )


def test_a_body_is_one_json_document_of_bounded_size():
    found = orjson.loads(body_of(notification("ü" * 10_000)))
    assert found["schema"] == "replicator.notification.v1"
    assert found["type"] == "promise.broken"
    assert found["summary"] == "ü" * TEXT_MAX
    assert set(found) == {
        "schema", "id", "type", "timestamp", "source", "target", "name", "summary", "details",
    }  # fmt: skip


def test_the_signature_is_that_of_standard_webhooks():
    """The vector of the specification's own libraries (standard-webhooks/libraries)."""
    secret, at = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers(
        key_of(secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}'
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_secret_that_is_no_base64_is_taken_as_it_is():
    secret = "a passphrase of some length"
    signed = signed_headers(key_of(secret), "id", START, b"{}")["webhook-signature"]
    over = f"id.{int(START.timestamp())}.{{}}".encode()
    assert signed == "v1," + b64encode(hmac.new(secret.encode(), over, sha256).digest()).decode()


@pytest.mark.parametrize("secret", ["short", "whsec_c2hvcnQ=", "whsec_?"])
def test_a_secret_that_protects_nothing_is_refused_and_not_shown(secret: str):
    with pytest.raises(ConfigError) as caught:
        key_of(secret)
    assert secret not in str(caught.value)


def test_a_webhook_can_choose_every_topic():
    """The configuration lists them by itself: it must be readable without the model."""
    assert set(TOPICS) == set(Topic)
