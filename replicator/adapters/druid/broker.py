"""A cluster's Broker over HTTP, with Druid SQL of release 25 and later; only queries are sent."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, TypeAlias, TypeVar

import orjson
from pydantic import Field

from replicator.adapters.druid.request import DruidLogin, DruidServers, answered
from replicator.adapters.transfer.answers import AnswerShape
from replicator.errors import ConfigError, NotFoundError
from replicator.model.document import INT_MAX, Natural
from replicator.model.druid.answer import Aggregate, Answer, Measure
from replicator.model.druid.interval import Interval, instant, interval_or_eternity
from replicator.ports.druid import Availability, Served

PATH = "/druid/v2/sql"
WHOSE = "a Broker or a Router"
ANSWER_MARGIN_S = 10.0
"""Margin by which the Broker's own time limit ends a query first, with the reason."""
CONTEXT: Mapping[str, Any] = {
    "sqlTimeZone": "Etc/UTC",
    # a cached answer proves nothing about the bytes
    "useCache": False,
    "populateCache": False,
    "useResultLevelCache": False,
    "populateResultLevelCache": False,
    # users' queries go first
    "priority": -1,
}
UNKNOWN = " not found"
"""Part of `Object 'x' not found within 'druid'`: Calcite's message since Druid 0.9."""
EXPRESSIONS: Mapping[Aggregate, str] = {
    Aggregate.ROWS: "COUNT(*)",
    Aggregate.VALUES: "COUNT({0})",
    Aggregate.SUM: "SUM({0})",
    Aggregate.LEAST: "MIN({0})",
    Aggregate.MOST: "MAX({0})",
    # CHAR_LENGTH alone omits rows with several values (seen with Druid 33.0.0)
    Aggregate.LENGTH: "SUM(CHAR_LENGTH(MV_TO_STRING({0}, ',')))",
    Aggregate.JSON_LENGTH: "SUM(CHAR_LENGTH(TO_JSON_STRING({0})))",
    Aggregate.MILLIS: "SUM(TIMESTAMP_TO_MILLIS({0}))",
}
TABLES = """
SELECT TABLE_NAME AS "name" FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = 'druid'
"""
COLUMNS = """
SELECT COLUMN_NAME AS "name", DATA_TYPE AS "type" FROM INFORMATION_SCHEMA.COLUMNS
WHERE TABLE_SCHEMA = 'druid' AND TABLE_NAME = {0} ORDER BY ORDINAL_POSITION
"""
SEGMENTS = """
SELECT "start", "end", MAX(is_realtime) AS "realtime" FROM sys.segments
WHERE datasource = {0} AND ((is_published = 1 AND is_overshadowed = 0) OR is_realtime = 1)
GROUP BY 1, 2
"""

# The rows of a segment are 0 until the Broker has queried it; a tombstone has none for ever.
AVAILABILITY = """
SELECT datasource, COUNT(*) AS "published",
  SUM(CASE WHEN is_available = 1 THEN 1 ELSE 0 END) AS "served",
  SUM(CASE WHEN is_available = 1 AND is_overshadowed = 0 THEN num_rows ELSE 0 END) AS "rows",
  SUM(CASE WHEN is_available = 1 AND is_overshadowed = 0 AND num_rows = 0
    AND shard_spec NOT LIKE '%tombstone%' THEN 1 ELSE 0 END) AS "unread",
  SUM(CASE WHEN is_available = 0 AND is_overshadowed = 0 THEN 1 ELSE 0 END) AS "unserved"
FROM sys.segments WHERE is_published = 1 GROUP BY 1
"""
SQL_TIME = re.compile(r"(?!0000)\d{4}-.*Z")
"""Times that SQL literals can express: years from 1 to 9999."""
UNSERVED_SHOWN_MAX = 100
UNSERVED = f"""
SELECT segment_id FROM sys.segments
WHERE is_published = 1 AND is_available = 0 AND is_overshadowed = 0
ORDER BY 1 LIMIT {UNSERVED_SHOWN_MAX}
"""  # noqa: S608 - a number from the code


_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True, kw_only=True)
class _TableName:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segments:
    start: str
    end: str
    realtime: Natural


@dataclass(frozen=True, slots=True, kw_only=True)
class _Available:
    datasource: str
    published: Natural
    served: Natural
    rows: Natural | None
    """None while nothing is served: Druid's planner makes a sum of no rows of the 0."""
    unread: Natural
    unserved: Natural


@dataclass(frozen=True, slots=True, kw_only=True)
class _SegmentId:
    segment_id: str


_TABLES = AnswerShape[list[_TableName]](list[_TableName])
_COLUMNS = AnswerShape[list[_Column]](list[_Column])
_SEGMENTS = AnswerShape[list[_Segments]](list[_Segments])
_AVAILABLE = AnswerShape[list[_Available]](list[_Available])
_UNSERVED = AnswerShape[list[_SegmentId]](list[_SegmentId])
_Measured: TypeAlias = Annotated[int, Field(ge=-INT_MAX - 1, le=INT_MAX)] | float | str | None
"""A `Number` as SQL has it: an integer has 64 bits, and a larger one is read as a float."""
_MEASURED = AnswerShape[list[dict[str, _Measured]]](list[dict[str, _Measured]])


class DruidBroker:
    """A `QueryBroker`; each query has a connection of its own, which costs little beside it."""

    def __init__(self, urls: Sequence[str], login: DruidLogin, *, query_timeout_s: float) -> None:
        self._servers = DruidServers(urls, login)
        self._timeout_s = query_timeout_s

    async def datasources(self) -> Sequence[str]:
        return sorted(row.name for row in await self._rows(TABLES, _TABLES))

    async def served(self, datasource: str) -> Sequence[Served]:
        found = await self._rows(SEGMENTS.format(_text(datasource)), _SEGMENTS)
        return [
            Served(
                interval=interval_or_eternity(row.start, row.end),
                is_realtime=bool(row.realtime),
            )
            for row in found
        ]

    async def columns(self, datasource: str) -> Mapping[str, str]:
        found = await self._rows(COLUMNS.format(_text(datasource)), _COLUMNS)
        return {row.name: row.type for row in found}

    async def measure(
        self, datasource: str, measures: Sequence[Measure], interval: Interval
    ) -> Answer:
        wanted = ", ".join(
            f'{EXPRESSIONS[measure.what].format(_name(measure.column))} AS "m{number}"'
            for number, measure in enumerate(measures)
        )
        query = f'SELECT {wanted} FROM "druid".{_name(datasource)}{_where(interval)}'  # noqa: S608 - names are quoted
        try:
            rows = await self._rows(query, _MEASURED)
        except ConfigError as exc:
            if f"'{datasource}'{UNKNOWN}" in str(exc):
                raise NotFoundError(
                    f"{self._servers.first} knows no datasource {datasource!r}"
                ) from exc
            raise
        found = rows[0] if rows else {}
        return {measure: found.get(f"m{number}") for number, measure in enumerate(measures)}

    async def availability(self, used: int) -> Availability:
        """Return how much of its cluster's published segments is served.

        Args:
            used: Number of used segments in the metadata store, which the Coordinator reads later.
        """
        found = await self._rows(AVAILABILITY, _AVAILABLE)
        unserved = sum(row.unserved for row in found)
        named = await self._rows(UNSERVED, _UNSERVED) if unserved else []
        return Availability(
            served=sum(row.served for row in found),
            rows={row.datasource: row.rows or 0 for row in found},
            unread=sum(row.unread for row in found),
            unknown=max(0, used - sum(row.published for row in found)),
            unserved=unserved,
            unserved_ids=[row.segment_id for row in named],
        )

    async def _rows(self, query: str, shape: AnswerShape[list[_Row]]) -> list[_Row]:
        timeout_ms = round(self._timeout_s * 1000)
        body = {"query": query, "context": {**CONTEXT, "timeout": timeout_ms}}
        timeout_s = self._timeout_s + ANSWER_MARGIN_S
        async with self._servers.send(
            "POST", PATH, orjson.dumps(body), timeout_s=timeout_s
        ) as answer:
            url = str(answer.url)
            if answer.status == HTTPStatus.NOT_FOUND:
                raise ConfigError(f"{url} is not there", hint=f"is this the address of {WHOSE}?")
            return await answered(answer, url, whose=WHOSE, shape=shape)


def _where(interval: Interval) -> str:
    found = list[str]()
    if interval.has_beginning:
        found.append(_compared(">=", interval.start_ms))
    if interval.has_end:
        found.append(_compared("<", interval.end_ms))
    return f" WHERE {' AND '.join(found)}" if found else ""


def _compared(sign: str, ms: int) -> str:
    """Compare with a literal where SQL has one for the year: Brokers prune segments by literals."""
    text = instant(ms)
    if SQL_TIME.fullmatch(text) is None:
        return f"TIMESTAMP_TO_MILLIS(__time) {sign} {ms}"
    return f"__time {sign} TIMESTAMP '{text[:-1].replace('T', ' ')}'"


def _name(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'


def _text(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
