"""One member of a payload changes, and no other byte."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import MalformedRowError
from replicator.model.druid.payload import member, parse, with_changed_member, with_member
from tests.builders import recorded_segments

NAME = "loadSpec"

texts = st.text(alphabet='a"\\{}[]:, \n\u00e9\u4e2d\U0001f600loadSpec', max_size=12) | st.just(NAME)
numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    scalars,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(texts, below, max_size=3),
    max_leaves=8,
)
names = (texts | st.just('x"loadSpec') | st.just("suspended")).filter(lambda name: name != NAME)
members = st.lists(st.tuples(names, values), max_size=4, unique_by=lambda found: found[0])
spaces = st.text(alphabet=" \t\r\n", max_size=2)


@st.composite
def payloads(draw: st.DrawFn) -> tuple[str, str, str]:
    """A payload in three parts: before the member's value, the value, and after it."""
    ascii_only = draw(st.booleans())

    def written(value: object) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    def one(name: str, value: str) -> str:
        parts = (written(name), draw(spaces), ":", draw(spaces), value, draw(spaces))
        return draw(spaces) + "".join(parts)

    before = [one(name, written(value)) + "," for name, value in draw(members)]
    after = ["," + one(name, written(value)) for name, value in draw(members)]
    head = draw(spaces) + "{" + "".join(before) + draw(spaces) + f'"{NAME}"' + ":" + draw(spaces)
    return head, written(draw(values)), draw(spaces) + "".join(after) + "}" + draw(spaces)


@given(parts=payloads(), value=values)
def test_every_byte_outside_the_member_stays(parts: tuple[str, str, str], value: Any):
    """Druid finds all it wrote, also what this tool does not know."""
    head, old, tail = parts

    changed = with_member(f"{head}{old}{tail}".encode(), NAME, value)

    start, end = len(head.encode()), len(tail.encode())
    assert changed[:start] == head.encode()
    assert changed[len(changed) - end :] == tail.encode()
    assert json.loads(changed[start : len(changed) - end]) == value


@given(parts=payloads())
def test_a_member_is_found_whatever_stands_around_it(parts: tuple[str, str, str]):
    head, value, tail = parts

    assert member(f"{head}{value}{tail}".encode(), NAME) == json.loads(value)


@given(found=members, value=values)
def test_an_absent_member_is_added_at_the_end(found: list[tuple[str, Any]], value: Any):
    payload = json.dumps(dict(found)).encode()

    added = with_member(payload, NAME, value)

    assert added.startswith(payload.rstrip()[:-1])
    assert parse(added) == {**dict(found), NAME: value}


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b'{"a":{"loadSpec":1},"loadSpec":2}', b'{"a":{"loadSpec":1},"loadSpec":9}'),
        (b'{"loadSpec":2,"a":{"loadSpec":1}}', b'{"loadSpec":9,"a":{"loadSpec":1}}'),
        (b'{"a":["loadSpec"],"loadSpec":2}', b'{"a":["loadSpec"],"loadSpec":9}'),
        (b'{"a":"loadSpec","loadSpec":2}', b'{"a":"loadSpec","loadSpec":9}'),
        (b'{"x\\"loadSpec":1,"loadSpec":2}', b'{"x\\"loadSpec":1,"loadSpec":9}'),
        (b'{"a":"\\"loadSpec\\":1","loadSpec":2}', b'{"a":"\\"loadSpec\\":1","loadSpec":9}'),
        (b'{"a":"{","loadSpec":2}', b'{"a":"{","loadSpec":9}'),
        (b'{"a":"[}","loadSpec":2}', b'{"a":"[}","loadSpec":9}'),
        (b'{"a":9223372036854775807,"loadSpec":2}', b'{"a":9223372036854775807,"loadSpec":9}'),
        (b'{"a":1.0e400,"loadSpec":2}', b'{"a":1.0e400,"loadSpec":9}'),
        (b' {\n "loadSpec" :\t2 } \n', b' {\n "loadSpec" :\t9 } \n'),
        (b'{"a":{"loadSpec":1}}', b'{"a":{"loadSpec":1},"loadSpec":9}'),
        (b"{}", b'{"loadSpec":9}'),
        (b"{ }\n", b'{"loadSpec":9}'),
    ],
)
def test_only_the_outer_member_is_meant(payload: bytes, expected: bytes):
    assert with_member(payload, NAME, 9) == expected


def test_a_letter_outside_ascii_is_written_as_itself():
    assert with_member(b'{"loadSpec":1}', NAME, "\u00e9") == '{"loadSpec":"\u00e9"}'.encode()


@pytest.mark.parametrize("file", ["druid-33-segments.csv", "druid-37-segments.csv"])
def test_what_druid_wrote_stays_except_its_load_spec(file: str):
    for row in recorded_segments(file):
        head, _, rest = row.payload.partition(b'"loadSpec":')
        tail = rest[rest.index(b"}") :]

        moved = with_member(row.payload, NAME, {"type": "local"})

        assert moved == head + b'"loadSpec":{"type":"local"' + tail


def test_a_value_that_does_not_change_leaves_the_payload_as_it_is():
    payload = b'{ "loadSpec" : {"type" : "tombstone"} }'

    assert with_changed_member(payload, NAME, lambda value: value) is payload


def test_a_change_is_told_of_an_absent_member():
    assert with_changed_member(b"{}", NAME, lambda value: [value]) == b'{"loadSpec":[null]}'


BROKEN = [
    b"",
    b"  ",
    b"\xff\xfe",
    b"[]",
    b"null",
    b'"loadSpec"',
    b"{",
    b'{"loadSpec"',
    b'{"loadSpec":',
    b'{"loadSpec":{"type":"local"',
    b'{"loadSpec":tru}',
    b'[{"loadSpec":1}]',
    b'x{"loadSpec":1}',
    b'{"a":[1,"loadSpec"',
    b'{"a":["loadSpec"] 1}',
    b'{"a" ["loadSpec"]}',
    b'{"a":' + b"[" * 100_000 + b'"loadSpec"',
]


@pytest.mark.parametrize("payload", BROKEN, ids=lambda payload: repr(payload[:30]))
def test_a_broken_payload_is_refused(payload: bytes):
    """A gap is recorded for the row, and the others go on."""
    with pytest.raises(MalformedRowError):
        with_member(payload, NAME, 1)
    with pytest.raises(MalformedRowError):
        parse(payload)


@given(payload=st.binary(max_size=40) | st.text(alphabet='{}[]":,\\ aloadSpec', max_size=40))
def test_no_payload_whatsoever_is_a_crash(payload: bytes | str):
    raw = payload if isinstance(payload, bytes) else payload.encode()
    for look in (lambda: member(raw, NAME), lambda: with_member(raw, NAME, 1), lambda: parse(raw)):
        try:
            look()
        except MalformedRowError:
            pass


@pytest.mark.parametrize("wrong", ["\n", "\x00", '"', '","b"', '":"'])
def test_a_text_that_is_none_is_refused_by_whoever_reads_it(wrong: str):
    """An object of texts alone is read by a faster decoder, which must refuse no less."""
    with pytest.raises(MalformedRowError):
        member(f'{{"{NAME}":{{"type":"lo{wrong}cal","path":"/a"}}}}'.encode(), NAME)


@pytest.mark.parametrize("number", [2**63 - 1, 2**70])
def test_a_number_in_an_object_is_read_exactly(number: int):
    found = member(json.dumps({NAME: {"type": "local", "n": number}}).encode(), NAME)
    assert found == {"type": "local", "n": number}
