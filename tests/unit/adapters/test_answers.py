"""What a server answers is shown as a sentence: no tags, no braces, no long address."""

import pytest

from replicator.adapters.bucket.obstore import brief
from replicator.adapters.transfer.answers import (
    MESSAGE_MAX,
    READ_MAX,
    AnswerShape,
    OddAnswerError,
    answered,
)
from replicator.model.document import CONTAINERS_MAX

SKEWED = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>RequestTimeTooSkewed</Code><Message>The'
    " request&apos;s time is\n  too far off.</Message><HostId>x</HostId></Error>"
)
READABLE = "RequestTimeTooSkewed: The request's time is too far off."
GOOGLE = '{"error": {"code": 403, "message": "nobody may list", "errors": [{"reason": "no"}]}}'
HADOOP = (
    '{"RemoteException": {"exception": "AccessControlException", "javaClassName": "org.apache",'
    ' "message": "Permission denied: user=dr.who"}}'
)
ASKED = (
    "Generic S3 error: Error performing list request: Error performing GET"
    " http://s3.example:9000/bucket?list-type=2&prefix=druid%2F in 1.8ms, after 1 retries, "
    "max_retries: 1, retry_timeout: 3s  - "
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (SKEWED, READABLE),
        (SKEWED[: SKEWED.index("too far")], "RequestTimeTooSkewed: The request's time is"),
        ("<Error><Code>SlowDown</Code></Error>", "SlowDown"),
        (GOOGLE, "nobody may list"),
        (HADOOP, "AccessControlException: Permission denied: user=dr.who"),
        ("<html><head><title>x</title></head><body><h1>no</h1> way <br", "no way"),
        ('{"error": "unauthorized_client"}', '{"error": "unauthorized_client"}'),
        ("{" * READ_MAX, "{" * MESSAGE_MAX),
        ("plain words", "plain words"),
    ],
)
def test_a_body_is_told_in_its_own_words(body: str, said: str):
    assert answered(403, body) == f"the server answered 403 Forbidden, {said}"


def test_an_answer_without_a_body_is_its_status():
    assert answered(403, "\n") == "the server answered 403 Forbidden"
    assert answered(599, "") == "the server answered 599"


def test_the_library_for_buckets_tells_the_answer_and_not_what_it_did_before():
    text = f"{ASKED}Server returned non-2xx status code: 403 Forbidden: {SKEWED}\n\nDebug source: x"
    assert brief(OSError(text)) == f"the server answered 403 Forbidden, {READABLE}"
    bare = f"{ASKED}Server returned non-2xx status code: 403 Forbidden"
    assert brief(OSError(bare)) == "the server answered 403 Forbidden"


def test_a_server_that_does_not_answer_is_named_without_what_was_asked():
    text = f'{ASKED}HTTP error: error sending request\n\nDebug source: error: "Connection refused"'
    assert brief(OSError(text)) == (
        "http://s3.example:9000: HTTP error: error sending request: Connection refused"
    )


def test_an_answer_of_very_many_values_is_not_even_parsed():
    shape = AnswerShape[object](object)
    assert shape.read(b"[" + b"{}," * 1000 + b"0]")
    with pytest.raises(OddAnswerError, match="values, or objects"):
        shape.read(b"[" + b"{}," * CONTAINERS_MAX + b"{}]")
