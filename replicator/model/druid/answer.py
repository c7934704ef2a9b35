"""Comparison of two Brokers' answers about the same interval.

The measures are exact and independent of the rows' order: counts, sums of numbers and sums of
lengths. Equal measures prove that the numbers of rows and values match. Two strings of equal length
that were swapped are only found by checksums of the bytes (`verify --level checksum`).
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

ROUNDING = 1e-12
"""Relative error of a floating point sum for each value, as the sum depends on the order."""


class Aggregate(StrEnum):
    """An aggregation of one column."""

    ROWS = "rows"
    VALUES = "values"
    """Number of values other than NULL."""
    SUM = "sum"
    LEAST = "least"
    MOST = "most"
    LENGTH = "length"
    """Sum of the lengths of all strings; the values of a multi-value row are joined first."""
    JSON_LENGTH = "JSON length"
    """Sum of the lengths of arrays and nested data, written as JSON."""
    MILLIS = "milliseconds"
    """Sum of the times, in milliseconds since 1970."""


class Measure(NamedTuple):
    """One number that a Broker can compute from a datasource's rows."""

    what: Aggregate
    column: str = ""

    def __str__(self) -> str:
        return f"{self.what} of {self.column}" if self.column else str(self.what)


Number: TypeAlias = int | float | str | None
"""A number in an answer; a string is a number that JSON cannot express, like NaN."""
Answer: TypeAlias = Mapping[Measure, Number]
ROWS = Measure(Aggregate.ROWS)

_OF_TYPE: Mapping[str, tuple[Aggregate, ...]] = {
    "TIMESTAMP": (Aggregate.MILLIS,),
    "BIGINT": (Aggregate.VALUES, Aggregate.SUM),
    "FLOAT": (Aggregate.VALUES, Aggregate.SUM, Aggregate.LEAST, Aggregate.MOST),
    "DOUBLE": (Aggregate.VALUES, Aggregate.SUM, Aggregate.LEAST, Aggregate.MOST),
    "VARCHAR": (Aggregate.VALUES, Aggregate.LENGTH),
    "ARRAY": (Aggregate.VALUES, Aggregate.JSON_LENGTH),
    "COMPLEX<json>": (Aggregate.VALUES, Aggregate.JSON_LENGTH),
}


class AnswerVerdict(StrEnum):
    """The result of comparing two answers."""

    GOOD = "good"
    DIFFERS = "differs"
    ONLY_IN_SOURCE = "only in source"
    ONLY_IN_TARGET = "only in target"


class Difference(NamedTuple):
    """A measure for which two Brokers gave different numbers."""

    measure: Measure
    source: Number
    target: Number


def measures(columns: Mapping[str, str]) -> list[Measure]:
    """Return the measures for columns and their SQL types."""
    return [Measure(what, name) for name, type_ in columns.items() for what in _of(type_)]


def unmeasured(columns: Mapping[str, str]) -> list[str]:
    """Return the columns without a measure, such as sketches."""
    return [name for name, type_ in columns.items() if not _of(type_)]


def judge(source: Answer, target: Answer) -> tuple[AnswerVerdict, Sequence[Difference]]:
    """Return the result of comparing two answers, and the measures in which they differ.

    A measure that one answer lacks belongs to a column without values.
    """
    rows = source.get(ROWS) or 0, target.get(ROWS) or 0
    if rows == (0, 0):
        return AnswerVerdict.GOOD, ()
    found = tuple(_differences(source, target))
    if rows[1] == 0:
        return AnswerVerdict.ONLY_IN_SOURCE, found[:1]
    if rows[0] == 0:
        return AnswerVerdict.ONLY_IN_TARGET, found[:1]
    return (AnswerVerdict.DIFFERS if found else AnswerVerdict.GOOD), found


def _differences(source: Answer, target: Answer) -> Iterator[Difference]:
    for measure in {**source, **target}:
        ours, theirs = source.get(measure), target.get(measure)
        if (ours or 0) != (theirs or 0) and not _is_rounding(measure, source, target):
            yield Difference(measure, ours, theirs)


def _is_rounding(measure: Measure, source: Answer, target: Answer) -> bool:
    """Whether the order of the same floating point numbers explains the difference of two sums."""
    ours, theirs = source.get(measure), target.get(measure)
    if measure.what is not Aggregate.SUM or not (_is_float(ours) or _is_float(theirs)):
        return False
    if isinstance(ours, str | None) or isinstance(theirs, str | None):
        return False
    ends = [source.get(Measure(what, measure.column)) for what in (Aggregate.LEAST, Aggregate.MOST)]
    largest = max((abs(end) for end in ends if isinstance(end, int | float)), default=0)
    rows = source.get(ROWS)
    count = rows if isinstance(rows, int) else 0
    return abs(ours - theirs) <= ROUNDING * count * largest


def _is_float(value: Number) -> bool:
    return isinstance(value, float)


def _of(type_: str) -> tuple[Aggregate, ...]:
    return _OF_TYPE.get(type_, _OF_TYPE["ARRAY"] if type_.endswith(" ARRAY") else ())
