"""What a Broker is asked, and what its answers mean, from a server that says what it is told to."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from replicator.adapters.druid.broker import DruidBroker
from replicator.adapters.druid.request import DruidLogin
from replicator.errors import ConfigError, NotFoundError, TransientError
from replicator.model.druid.answer import ROWS, Aggregate, AnswerVerdict, Measure, judge
from replicator.model.druid.interval import Interval, interval
from replicator.ports.druid import Availability, Served
from tests.servers.fake_http import Fake, serving

DAY = interval("2026-01-01", "2026-01-02")
ETERNITY = interval("-146136543-09-08T08:23:32.096Z", "146140482-04-24T15:36:27.903Z")


@pytest.fixture
def fake() -> Fake:
    return Fake()


@pytest.fixture
async def url(fake: Fake) -> AsyncIterator[str]:
    async with serving(fake) as found:
        yield found


def broker(url: str) -> DruidBroker:
    return DruidBroker([url], DruidLogin(), query_timeout_s=5)


def asked(fake: Fake) -> dict[str, Any]:
    method, path, body, _ = fake.asked[-1]
    assert (method, path) == ("POST", "/druid/v2/sql")
    found: dict[str, Any] = json.loads(body)
    return found


async def test_numbers_are_asked_for_in_one_query_with_quoted_names(fake: Fake, url: str):
    fake.body = [{"m0": 3, "m1": 10, "m2": None}]
    measures = [ROWS, Measure(Aggregate.SUM, 'a"b'), Measure(Aggregate.LENGTH, "page")]
    found = await broker(url).measure('my "wiki"', measures, DAY)
    assert found == dict(zip(measures, [3, 10, None], strict=True))
    query = asked(fake)["query"]
    assert '"druid"."my ""wiki"""' in query
    assert 'SUM("a""b") AS "m1"' in query
    assert "__time >= TIMESTAMP '2026-01-01 00:00:00.000'" in query
    assert "__time < TIMESTAMP '2026-01-02 00:00:00.000'" in query


async def test_years_that_sql_has_no_literal_for_are_asked_for_in_milliseconds(
    fake: Fake, url: str
):
    fake.body = []
    await broker(url).measure("micros", [ROWS], interval("0000-12-31", "55969-09-29"))
    query = asked(fake)["query"]
    assert "TIMESTAMP_TO_MILLIS(__time) >= -62135683200000" in query
    assert "TIMESTAMP_TO_MILLIS(__time) < 1704067286400000" in query


async def test_segments_of_any_year_are_served(fake: Fake, url: str):
    """One that cannot be told is taken for all of time: it is looked at."""
    far = ("55969-09-28T00:00:00.000Z", "55969-09-29T00:00:00.000Z")
    rows = [far, ("odd", "odder")]
    fake.body = [{"start": start, "end": end, "realtime": 0} for start, end in rows]
    found = [one.interval for one in await broker(url).served("micros")]
    assert found == [interval(*far), ETERNITY]


async def test_nothing_cached_is_taken_for_a_proof_and_druid_gives_up_in_time(
    fake: Fake,
    url: str,
):
    fake.body = []
    await broker(url).datasources()
    context = asked(fake)["context"]
    assert (context["useCache"], context["useResultLevelCache"]) == (False, False)
    assert (context["timeout"], context["priority"]) == (5000, -1)


async def test_eternity_needs_no_condition(fake: Fake, url: str):
    fake.body = [{"m0": 3}]
    await broker(url).measure("wiki", [ROWS], ETERNITY)
    assert "WHERE" not in asked(fake)["query"]


async def test_intervals_and_columns_are_read(fake: Fake, url: str):
    start, end = "1970-01-01T00:00:00.000Z", "1970-01-02T00:00:00.000Z"
    fake.body = [{"start": start, "end": end, "realtime": 1}]
    served = Served(interval=Interval(0, 86_400_000), is_realtime=True)
    assert await broker(url).served("it's") == [served]
    assert "datasource = 'it''s'" in asked(fake)["query"]
    fake.body = [{"name": "n", "type": "BIGINT"}]
    assert await broker(url).columns("wiki") == {"n": "BIGINT"}


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, {"errorMessage": "Object 'wiki' not found (line [1], column [24])"}, NotFoundError),
        (400, {"errorMessage": "Column 'n' not found in any table"}, ConfigError),
        (403, "", ConfigError),
        (404, "", ConfigError),
        (429, {"error": "Query capacity exceeded"}, TransientError),
        (504, {"error": "Query timeout"}, TransientError),
        (200, {"error": "no rows"}, ConfigError),
    ],
)
async def test_refusals(
    fake: Fake,
    url: str,
    status: int,
    body: Any,
    error: type[Exception],
):
    fake.status, fake.body = status, body
    with pytest.raises(error):
        await broker(url).measure("wiki", [ROWS], DAY)


async def test_how_much_is_served_and_what_the_coordinator_does_not_know_yet(fake: Fake, url: str):
    whole = {"published": 4, "served": 4, "rows": 100, "unread": 0, "unserved": 0}
    new = {"published": 3, "served": 3, "rows": 0, "unread": 2, "unserved": 0}
    fake.body = [{"datasource": "wiki", **whole}, {"datasource": "orders", **new}]
    found = await broker(url).availability(used=9)
    assert found == Availability(
        served=7,
        rows={"wiki": 100, "orders": 0},
        unread=2,
        unknown=2,
        unserved=0,
        unserved_ids=[],
    )
    assert "sys.segments" in asked(fake)["query"]


async def test_a_broker_that_serves_nothing_yet_sums_no_rows_to_null(fake: Fake, url: str):
    """As a real one does; a drill that asked so early ended instead of waiting."""
    none = {"published": 15, "served": 0, "rows": None, "unread": 0, "unserved": 0}
    fake.body = [{"datasource": "wiki", **none}]
    found = await broker(url).availability(used=15)
    assert (found.served, found.rows) == (0, {"wiki": 0})


async def test_a_coordinator_that_knows_no_segment_knows_none_of_the_used(fake: Fake, url: str):
    fake.body = []
    found = await broker(url).availability(used=3)
    assert (found.served, found.unknown, found.unserved, found.rows) == (0, 3, 0, {})


@pytest.mark.parametrize("number", [str(1 << 64), "1" * 400, str(-(1 << 64))])
async def test_a_number_that_sql_does_not_have_is_no_traceback(fake: Fake, url: str, number: str):
    """Where it is compared with a rounded one, and where it is written."""
    total = Measure(Aggregate.SUM, "added")
    fake.body = f'[{{"m0": 3, "m1": {number}}}]'
    found = await broker(url).measure("wiki", [ROWS, total], DAY)
    assert isinstance(found[total], float)
    assert judge(found, {ROWS: 3, total: 0.5})[0] is AnswerVerdict.DIFFERS
    fake.body = '[{"m0": 9223372036854775807}]'
    assert await broker(url).measure("wiki", [ROWS], DAY) == {ROWS: (1 << 63) - 1}


@pytest.mark.parametrize("body", ['["x"]', "[[1]]", "{}", "null", '[{"m0": [1]}]', "[" * 3000])
async def test_an_odd_answer_is_no_traceback(fake: Fake, url: str, body: str):
    fake.body = body
    asked = [
        broker(url).measure("wiki", [ROWS], DAY),
        broker(url).datasources(),
        broker(url).columns("wiki"),
        broker(url).served("wiki"),
        broker(url).availability(1),
    ]
    for one in asked:
        with pytest.raises(ConfigError, match="did not answer in JSON as a Druid does"):
            await one
