"""From load specs to places below a root and back; never out of the root."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import MalformedRowError
from replicator.model.load_spec import LocalLayout, Location
from replicator.model.payload import member
from tests.builders import ROOT, recorded_segments

LAYOUT = LocalLayout(root=ROOT)

names = st.text(alphabet="ab.-_: \u00e9", min_size=1, max_size=4).filter(
    lambda name: name not in {".", ".."}
)
places = st.builds(
    lambda parts, tail: Location("/".join(parts) + tail),
    st.lists(names, min_size=1, max_size=5),
    st.sampled_from(["", "/"]),
)


@given(place=places, root=st.sampled_from([ROOT, ROOT + "/", "/", "/a b"]))
def test_a_load_spec_leads_back_to_its_place(place: Location, root: str):
    layout = LocalLayout(root=root)

    assert layout.locate(layout.load_spec(place)) == place


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/druid/segments/wiki/0/index/", "wiki/0/index/"),
        ("/druid/segments/wiki/0/index.zip", "wiki/0/index.zip"),
        ("file:/druid/segments/wiki/0/index.zip", "wiki/0/index.zip"),
    ],
)
def test_a_place_is_relative_to_the_root(path: str, place: str):
    assert LAYOUT.locate({"type": "local", "path": path}) == place


def test_a_place_is_the_same_for_every_segment_that_druid_wrote():
    for row in recorded_segments("druid-33-segments.csv"):
        spec = member(row.payload, "loadSpec")
        place = LAYOUT.locate(spec)

        assert place is not None
        assert place.startswith(f"{row.datasource}/{row.start}_{row.end}/{row.version}/")
        assert LAYOUT.load_spec(place) == spec


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "file:/etc/passwd",
        "file:///druid/segments/wiki",
        "/druid/segments",
        "/druid/segments/",
        "/druid/segments//",
        "/druid/segments//etc/passwd",
        "/druid/segments/../secrets",
        "/druid/segments/wiki/../../../etc",
        "/druid/segments/wiki/./0",
        "/druid/segments/wiki//0",
        "/druid/segments/..",
        "/druid/segments2/wiki",
        "druid/segments/wiki",
        "/druid/segments/wiki\0/0",
        "/druid/segments/wiki\n/0",
        "/druid/segments/\ud800/0",
    ],
)
def test_a_place_outside_the_root_is_refused(path: str):
    """A payload is data of the source; it never decides where the target writes."""
    with pytest.raises(MalformedRowError, match="not a place below the deep storage's root"):
        LAYOUT.locate({"type": "local", "path": path})


@given(path=st.text(alphabet="/.a\0\n", max_size=12))
def test_no_place_leaves_the_root(path: str):
    try:
        place = LAYOUT.locate({"type": "local", "path": f"{ROOT}/{path}"})
    except MalformedRowError:
        return
    assert place is not None
    assert not place.startswith("/")
    assert {"", ".", ".."}.isdisjoint(place.removesuffix("/").split("/"))


def test_a_tombstone_has_no_place():
    assert LAYOUT.locate({"type": "tombstone"}) is None


@pytest.mark.parametrize("path", [None, "", 7, ["/druid/segments/x"]])
def test_a_load_spec_without_a_path_is_refused(path: object):
    with pytest.raises(MalformedRowError, match="no path"):
        LAYOUT.locate({"type": "local", "path": path})


@pytest.mark.parametrize("type_", ["s3_zip", "hdfs", None])
def test_a_storage_of_another_type_is_named(type_: str | None):
    with pytest.raises(MalformedRowError, match=f"type {type_!r}, this storage reads 'local'"):
        LAYOUT.locate({"type": type_, "path": "/druid/segments/x"})
