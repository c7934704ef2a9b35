"""What Jackson wrote in Smile is read as it was, and what is written here Jackson reads."""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import MalformedRowError
from replicator.model.druid import smile

DATA = Path(__file__).parents[3] / "data" / "smile"
"""Made by `Written.java` there, with the Jackson of a Druid 33."""
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def in_json(value: Any) -> Any:
    """As Jackson writes it in JSON: bytes in base64."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, dict):
        return {name: in_json(member) for name, member in value.items()}
    return [in_json(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("how", ["", "-7bit"], ids=["druids", "shared-texts-7bit"])
@pytest.mark.parametrize("what", ["users", "roles", "odd"])
def test_what_jackson_wrote_is_read_as_it_was(what: str, how: str):
    found = smile.loads((DATA / f"{what}{how}.smile").read_bytes())

    assert in_json(found) == json.loads((DATA / f"{what}.json").read_text())


def test_names_that_are_more_than_a_writer_remembers_are_told_apart():
    """It begins anew after 1,024: a cluster has more users than that."""
    found = smile.loads((DATA / "many.smile").read_bytes())

    assert found == {f"user{n}": {"name": f"user{n}", f"n{n}": n} for n in range(1500)}


@pytest.mark.parametrize("how", ["", "-7bit"], ids=["druids", "shared-texts-7bit"])
def test_names_and_texts_that_are_said_again_are_those_before(how: str):
    found = smile.loads((DATA / f"again{how}.smile").read_bytes())
    names, texts = {f"name{n}": n for n in range(900)}, [f"text{n}" for n in range(900)]

    assert found == {"again": [names, names, texts, texts, names, texts]}


def test_what_is_written_is_what_jackson_reads():
    """It read these bytes as `{"jörg":{"salt":"AQL/","iterations":10000,"roles":[]}}`."""
    value: smile.Value = {"jörg": {"salt": b"\1\2\xff", "iterations": 10000, "roles": []}}

    assert smile.dumps(value) == (
        b":)\n\x04\xfa\xc3j\xc3\xb6rg\xfa\x83salt\xfd\x83\1\2\xff\x89iterations\x24\x02\x38\xa0"
        b"\x84roles\xf8\xf9\xfb\xfb"
    )


@given(value=values)
def test_what_is_written_is_read_again(value: smile.Value):
    assert smile.loads(smile.dumps(value)) == value


@pytest.mark.parametrize("what", ["users", "odd", "odd-7bit", "roles"])
def test_what_is_cut_short_is_damage(what: str):
    """No user may be lost because a row ends in the middle."""
    whole = (DATA / f"{what}.smile").read_bytes()
    for size in range(len(whole)):
        with pytest.raises(MalformedRowError):
            smile.loads(whole[:size])


@given(data=st.binary(max_size=40))
def test_nothing_is_a_crash(data: bytes):
    try:
        smile.loads(smile.HEADER + data)
    except MalformedRowError:
        pass


@pytest.mark.parametrize("data", [b"{}", b"", b":)", b":)\n\x00[", b":)\n\x00" + b"\xf8" * 99])
def test_what_is_no_smile_is_refused(data: bytes):
    with pytest.raises(MalformedRowError):
        smile.as_object(smile.loads(data))
