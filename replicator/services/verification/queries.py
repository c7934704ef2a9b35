"""The questions to a Broker that measure the rows of an interval."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from replicator.errors import worst_alone
from replicator.model.druid.answer import ROWS, Answer, Measure, Number, measures
from replicator.model.druid.interval import Interval, separate_parts
from replicator.ports.druid import QueryBroker
from replicator.services.running.retry import Retry
from replicator.task_group import TaskGroup

_Result = TypeVar("_Result")
MS_PER_S = 1000


def questions(columns: Mapping[str, str]) -> list[Measure]:
    """Return all measures of a datasource; none for a datasource without columns."""
    return [ROWS, *measures(columns)] if columns else []


def parts(intervals: Iterable[Interval], *, shortest_s: float) -> list[Interval]:
    """Return the intervals to query at once: none is split, and short ones are combined."""
    return separate_parts(intervals, shortest_ms=round(shortest_s * MS_PER_S))


async def answer(
    broker: QueryBroker,
    datasource: str,
    measures: Sequence[Measure],
    interval: Interval,
    *,
    columns_max: int,
    retry: Retry,
) -> Answer:
    """Query all measures, some columns at a time.

    Raises:
        NotFoundError: the Broker does not know the datasource (any more).
        TransientError: the Broker does not answer within the retry policy.
        ConfigError: the Broker refuses to answer.
    """
    found = dict[Measure, Number]()
    for some in _by_columns(measures, columns_max):
        question = partial(broker.measure, datasource, some, interval)
        found |= await retry.call(f"query {datasource}", question)
    return found


async def together(calls: Iterable[Callable[[], Awaitable[_Result]]]) -> list[_Result]:
    """Await all calls at once and return their results, in order."""

    async def result(call: Callable[[], Awaitable[_Result]]) -> _Result:
        return await call()

    with worst_alone():
        async with TaskGroup() as group:
            tasks = [group.create_task(result(call)) for call in calls]
    return [task.result() for task in tasks]


def _by_columns(measures: Sequence[Measure], columns_max: int) -> list[list[Measure]]:
    columns = list(dict.fromkeys(measure.column for measure in measures))
    return [
        [measure for measure in measures if measure.column in columns[start : start + columns_max]]
        for start in range(0, len(columns), columns_max)
    ]
