"""When two answers are the same."""

import pytest

from replicator.model.druid.answer import (
    ROWS,
    Aggregate,
    Answer,
    AnswerVerdict,
    Measure,
    judge,
    measures,
    unmeasured,
)

SUM, LEAST, MOST = (
    Measure(what, "price") for what in (Aggregate.SUM, Aggregate.LEAST, Aggregate.MOST)
)
LENGTH = Measure(Aggregate.LENGTH, "page")


def floats(total: object) -> Answer:
    return {ROWS: 1000, SUM: total, LEAST: -2.0, MOST: 3.0}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        ({ROWS: 3, LENGTH: 9}, {ROWS: 3, LENGTH: 9}, AnswerVerdict.GOOD),
        ({ROWS: 3, LENGTH: 9}, {ROWS: 3, LENGTH: 8}, AnswerVerdict.DIFFERS),
        ({ROWS: 3, LENGTH: 9}, {ROWS: 4, LENGTH: 9}, AnswerVerdict.DIFFERS),
        ({ROWS: 3, LENGTH: None}, {ROWS: 3}, AnswerVerdict.GOOD),
        ({ROWS: 3, LENGTH: 9}, {ROWS: 3}, AnswerVerdict.DIFFERS),
        ({ROWS: 3, LENGTH: 9}, {}, AnswerVerdict.ONLY_IN_SOURCE),
        ({ROWS: 0, LENGTH: None}, {ROWS: 3, LENGTH: 9}, AnswerVerdict.ONLY_IN_TARGET),
        ({ROWS: 0, LENGTH: None}, {}, AnswerVerdict.GOOD),
        (floats(10.0), floats(10.0 + 1e-9), AnswerVerdict.GOOD),
        (floats(10.0), floats(10.001), AnswerVerdict.DIFFERS),
        (floats(10.0), floats("NaN"), AnswerVerdict.DIFFERS),
        (floats("NaN"), floats("NaN"), AnswerVerdict.GOOD),
        (floats(10), floats(11), AnswerVerdict.DIFFERS),
    ],
)
def test_answers_are_judged(source: Answer, target: Answer, verdict: AnswerVerdict):
    assert judge(source, target)[0] is verdict


def test_what_differs_is_named_with_both_numbers():
    _, found = judge({ROWS: 3, LENGTH: 9}, {ROWS: 4, LENGTH: 9})
    assert found == ((ROWS, 3, 4),)


def test_a_large_whole_number_must_be_the_same_to_the_last_digit():
    source, target = ({ROWS: 10**9, SUM: value} for value in (2**62, 2**62 + 1))
    assert judge(source, target)[0] is AnswerVerdict.DIFFERS


def test_each_type_has_its_measures_and_sketches_are_named():
    columns = {"__time": "TIMESTAMP", "n": "BIGINT", "s": "COMPLEX<HLLSketch>"}
    assert [str(one) for one in measures(columns)] == [
        "milliseconds of __time",
        "values of n",
        "sum of n",
    ]
    assert unmeasured(columns) == ["s"]
