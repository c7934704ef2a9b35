"""A Broker over rows in lists: for tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from replicator.errors import NotFoundError
from replicator.model.druid.answer import Aggregate, Answer, Measure, Number
from replicator.model.druid.interval import Interval
from replicator.ports.druid import Served

TIME = "__time"


@dataclass
class MemoryDatasource:
    """Rows, each with its `__time` in milliseconds, and what the Broker says of their segments."""

    columns: Mapping[str, str]
    """SQL types, `__time` among them."""
    served: list[Served] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)


class MemoryBroker:
    """A `QueryBroker`; `stored` may be changed at any time, `questions` are all so far."""

    def __init__(self, stored: Mapping[str, MemoryDatasource]) -> None:
        self.stored = dict(stored)
        self.questions: list[tuple[str, Sequence[Measure], Interval]] = []

    async def datasources(self) -> Sequence[str]:
        return sorted(self.stored)

    async def served(self, datasource: str) -> Sequence[Served]:
        found = self.stored.get(datasource)
        return [] if found is None else list(found.served)

    async def columns(self, datasource: str) -> Mapping[str, str]:
        found = self.stored.get(datasource)
        return {} if found is None else found.columns

    async def measure(
        self, datasource: str, measures: Sequence[Measure], interval: Interval
    ) -> Answer:
        if datasource not in self.stored:
            raise NotFoundError(f"memory: no datasource {datasource!r}")
        self.questions.append((datasource, measures, interval))
        rows = [
            row
            for row in self.stored[datasource].rows
            if interval.start_ms <= row[TIME] < interval.end_ms
        ]
        return {measure: _measured(measure, rows) for measure in measures}


def _measured(measure: Measure, rows: Sequence[Mapping[str, Any]]) -> Number:
    if measure.what is Aggregate.ROWS:
        return len(rows)
    values = [value for row in rows if (value := row.get(measure.column)) is not None]
    found: Number = _AGGREGATES[measure.what](values) if values else None
    return len(values) if measure.what is Aggregate.VALUES else found


_AGGREGATES: Mapping[Aggregate, Callable[[list[Any]], Number]] = {
    Aggregate.VALUES: len,
    Aggregate.SUM: sum,
    Aggregate.MILLIS: sum,
    Aggregate.LEAST: min,
    Aggregate.MOST: max,
    Aggregate.LENGTH: lambda values: sum(map(len, values)),
    Aggregate.JSON_LENGTH: lambda values: sum(len(orjson.dumps(value)) for value in values),
}
