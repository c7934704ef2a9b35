"""The small documents of a store: written as ever, and whatever else is there is damage, named."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from replicator.errors import CorruptionError
from replicator.model.document import CONTAINERS_MAX, LIST_FACTOR
from tests.schemas.golden_documents import DOCUMENTS, Golden

GOLDEN = Path(__file__).parent / "golden" / "store-v1"
WRONGS: list[object] = [None, True, 7, -1, 2**70, 1.5, "", "a\x1b[2J", [], ["a"], {}, {"a": 1}]
NESTED = b'{"format":1,"a":' + b"[" * 300 + b"]" * 300 + b"}"
"""More levels than are written, and fewer than can be read."""
FREE_TEXT = {"reason", "level", "datasource", "key", "detail", "source"}
"""Members in which any text is right: what shows it escapes it."""


def test_there_is_a_golden_file_for_every_document():
    assert {path.name for path in GOLDEN.iterdir()} == DOCUMENTS.keys()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_this_release_writes_the_golden_bytes_and_reads_them(name: str):
    golden, data = DOCUMENTS[name], (GOLDEN / name).read_bytes()
    assert golden.write(golden.value) == data
    assert golden.read(golden.name, data) == golden.value


def changed(found: Any) -> Iterator[tuple[str, Any]]:
    """Yield a document with each of its members left out, and of each wrong kind."""
    if isinstance(found, dict):
        for member, value in found.items():
            yield member, {name: one for name, one in found.items() if name != member}
            for wrong in WRONGS:
                yield member, {**found, member: wrong}
            for inner, below in changed(value):
                yield inner, {**found, member: below}


def refused(golden: Golden, data: bytes) -> bool:
    """Return whether a document is refused, and require that it is by its file's name."""
    said: str | None = None
    try:
        golden.read(golden.name, data)
    except CorruptionError as exc:
        said = str(exc)
    assert said is None or (golden.name in said and said.isprintable())
    return said is not None


@pytest.mark.parametrize("name", DOCUMENTS)
def test_whatever_is_wrong_is_damage_that_names_file_and_member(name: str):
    golden = DOCUMENTS[name]
    tried = {True: 0, False: 0}
    for member, found in changed(orjson.loads((GOLDEN / name).read_bytes())):
        data = json.dumps(found).encode()
        tried[refused(golden, data)] += 1
        if member not in FREE_TEXT and found.get(member, "") == "a\x1b[2J":
            assert refused(golden, data), member
    assert tried[True] > 3 * tried[False]


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"null", b"[]", b"7", b'"a"', b"{", b"{}", b"\xff", b"[" * 100_000, b'{"format":2}'),
        NESTED,
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_such_document_is_damage(name: str, data: bytes):
    assert refused(DOCUMENTS[name], data)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_of_very_many_values_is_not_even_parsed(name: str):
    """Each takes two bytes of a file, and up to a thousand while it is checked."""
    golden = DOCUMENTS[name]
    found = orjson.loads((GOLDEN / name).read_bytes())
    many = orjson.dumps({**found, "more": [[]] * (LIST_FACTOR * CONTAINERS_MAX)})
    with pytest.raises(CorruptionError, match="values, or objects"):
        golden.read(golden.name, many)


@pytest.mark.parametrize("name", ["lease.json", "hold-until.json", "intent.json", "until.json"])
@pytest.mark.parametrize(
    "time", ["2024-05-01T12:30:00", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"]
)
def test_a_time_needs_a_zone_and_a_year_that_can_be_reckoned_with(name: str, time: str):
    found = orjson.loads((GOLDEN / name).read_bytes())
    member = "until" if "until" in found else "valid_until"
    with pytest.raises(CorruptionError, match=f"'{member}'"):
        DOCUMENTS[name].read(DOCUMENTS[name].name, orjson.dumps({**found, member: time}))


@pytest.mark.parametrize("name", ["point.json", "hold.json"])
@pytest.mark.parametrize("given", ["another", "../../etc", "a/b", "..", "a\x1b]0;x\x07"])
def test_a_point_is_that_of_its_file(name: str, given: str):
    found = orjson.loads((GOLDEN / name).read_bytes())
    assert refused(DOCUMENTS[name], orjson.dumps({**found, "name": given}))
