"""JSON of anybody: how many values it may have, and how much its faults may cost."""

import time
from dataclasses import dataclass

import orjson
import pytest
from pydantic import ValidationError

from replicator.errors import CorruptionError
from replicator.model.document import (
    CONTAINERS_MAX,
    LIST_FACTOR,
    VALUES_MAX,
    Shape,
    first_fault_validator,
    refuse_many_values,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    name: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    steps: tuple[Step, ...]


@pytest.mark.parametrize(
    "value",
    [
        b"[],",
        b"{},",
        b"0," * 17,
    ],
)
def test_a_text_of_too_many_values_is_refused(value: bytes):
    few = b"[" + value * (CONTAINERS_MAX // 2) + b"0]"
    refuse_many_values(few)
    with pytest.raises(ValueError, match="more than 4000000 values"):
        refuse_many_values(few[:-2] + value * CONTAINERS_MAX + b"0]")
    refuse_many_values(b"[" + value * CONTAINERS_MAX + b"0]", factor=LIST_FACTOR)


def test_what_stands_in_texts_are_no_values():
    text = '[{,\\"' * CONTAINERS_MAX
    refuse_many_values(orjson.dumps({"a": text, "b": [text]}))
    refuse_many_values(b'["' + b"," * (VALUES_MAX + 1) + b'"]')


@pytest.mark.parametrize("text", [b'"', b'\\"', b'"\\'])
def test_texts_without_an_end_are_looked_at_once(text: bytes):
    begun = time.perf_counter()
    refuse_many_values(b'["' + b"[" * CONTAINERS_MAX + b'\\"' * (1 << 20) + text)
    assert time.perf_counter() - begun < 5


def test_a_list_of_faults_says_the_first_one():
    many = b'{"steps":[' + b"{}," * 1000 + b"{}]}"
    with pytest.raises(ValidationError) as told:
        first_fault_validator(Steps).validate_json(many)
    assert told.value.error_count() == 2
    with pytest.raises(CorruptionError, match=r"field 'steps.0.name' is missing"):
        Shape(Steps, "", formats=None).read("x.json", many)
