"""What two Brokers say of the same interval, and whether it is the same.

The measures need no approximation and no order: counts, sums of numbers and sums of lengths. They
prove that no row and no value is missing or other in number, and do not prove that two texts of
one length were not exchanged; checksums of the bytes do that (`verify --level checksum`).
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

ROUNDING = 1e-12
"""Sums of floating point numbers depend on their order in the last digits, by so much a value."""


class Aggregate(StrEnum):
    """What is asked of a column."""

    ROWS = "rows"
    VALUES = "values"
    """Number of values that are not NULL."""
    SUM = "sum"
    LEAST = "least"
    MOST = "most"
    LENGTH = "length"
    """Characters of all texts together; the values of a multi-value row are joined first."""
    JSON_LENGTH = "JSON length"
    """Characters of arrays and nested data, written as JSON."""
    MILLIS = "milliseconds"
    """Sum of the times since 1970."""


class Measure(NamedTuple):
    """One number that a Broker can say of a datasource's rows."""

    what: Aggregate
    column: str = ""

    def __str__(self) -> str:
        return f"{self.what} of {self.column}" if self.column else str(self.what)


Number: TypeAlias = int | float | str | None
"""A text stands for a number that JSON cannot hold, like NaN."""
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
    """A number on which two Brokers do not agree."""

    measure: Measure
    source: Number
    target: Number


def measures(columns: Mapping[str, str]) -> list[Measure]:
    """Return the measures of columns, which are given with their SQL types."""
    return [Measure(what, name) for name, type_ in columns.items() for what in _of(type_)]


def unmeasured(columns: Mapping[str, str]) -> list[str]:
    """Return the columns that have no measure: sketches and the like."""
    return [name for name, type_ in columns.items() if not _of(type_)]


def judge(source: Answer, target: Answer) -> tuple[AnswerVerdict, Sequence[Difference]]:
    """Return whether two answers are the same, and the numbers on which they differ.

    A measure that one of them lacks is that of a column without values.
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
    """Whether two sums of the same floating point numbers were made in another order."""
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
