"""From load specs to places below a root and back; never out of the root."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replicator.errors import MalformedRowError, MisplacedError
from replicator.model.druid.payload import member
from replicator.model.load_spec import (
    AzureLayout,
    GoogleLayout,
    HdfsLayout,
    Layout,
    LocalLayout,
    Location,
    S3Layout,
    SourceLayout,
    is_plain,
    moved,
)
from replicator.model.store.layout_json import layout_json, layout_of
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
        ("file:///druid/segments/wiki/0/index.zip", "wiki/0/index.zip"),
        ("/druid/segments//wiki/./0//index/", "wiki/0/index/"),
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
        "/druid/segments",
        "/druid/segments/",
        "/druid/segments//",
        "/druid/segments/../secrets",
        "/druid/segments/wiki/../../../etc",
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
    with pytest.raises(MalformedRowError, match="not a location below the deep storage's root"):
        LAYOUT.locate({"type": "local", "path": path})


@given(parts=st.lists(st.sampled_from(["", ".", "...", ".a", "a..", "b"]), max_size=6))
def test_names_that_say_nothing_are_left_out_of_a_path_and_no_others(parts: list[str]):
    said = [name for name in parts if name not in {"", "."}]
    path = "/".join([ROOT, *parts])
    if not said:
        with pytest.raises(MalformedRowError):
            LAYOUT.locate({"type": "local", "path": path})
        return
    place = "/".join(said) + ("/" if path.endswith("/") else "")
    assert LAYOUT.locate({"type": "local", "path": path}) == place


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


# ---------------------------------------------------------------------------------------- clouds

S3 = S3Layout(bucket="b", prefix="druid/segments")
CLOUDS: dict[str, Layout] = {
    "local": LAYOUT,
    "s3": S3,
    "s3 unpacked": S3Layout(bucket="b", prefix="", packed=False),
    "google": GoogleLayout(bucket="g", prefix="segments/"),
    "azure": AzureLayout(container="c", prefix="segments"),
    "hdfs": HdfsLayout(filesystem="hdfs://nn:8020", root="/druid/segments"),
}
DAY = "wiki/2024-02-01T00:00:00.000Z_2024-02-02T00:00:00.000Z/2026-11-23T09:02:07.431Z"
BASIC = "wiki/20240201T000000.000Z_20240202T000000.000Z/2026-11-23T09_02_07.431Z"


@pytest.mark.parametrize("to", CLOUDS)
@given(place=places.map(lambda place: Location(place if place[-1] == "/" else f"{place}.zip")))
def test_what_is_placed_stays_in_place_and_its_load_spec_leads_back(to: str, place: Location):
    layout = CLOUDS[to]
    placed = layout.own_location(place)

    assert layout.own_location(placed) == placed
    assert layout.locate(layout.load_spec(placed)) == placed


@pytest.mark.parametrize(
    ("to", "place", "placed"),
    [
        ("local", f"{DAY}/0/index/", f"{DAY}/0/index/"),
        ("local", f"{DAY}/0/index.zip", f"{DAY}/0/index.zip"),
        ("local", f"{DAY}/0/", f"{DAY}/0/index/"),
        ("local", f"{BASIC}/3_index.zip", f"{BASIC}/3/index.zip"),
        ("local", f"{BASIC}/3_6c82ac4d-8ebf_index.zip", f"{BASIC}/3/6c82ac4d-8ebf/index.zip"),
        ("s3", f"{DAY}/0/index/", f"{DAY}/0/index.zip"),
        ("s3", f"{DAY}/0/u-1/", f"{DAY}/0/u-1/index.zip"),
        ("s3 unpacked", f"{DAY}/0/u-1/", f"{DAY}/0/u-1/index/"),
        ("google", f"{BASIC}/3_index.zip", f"{BASIC}/3/index.zip"),
        ("azure", f"{DAY}/0/index/", f"{BASIC}/0/index.zip"),
        ("hdfs", f"{DAY}/0/index.zip", f"{BASIC}/0/index.zip"),
        ("hdfs", "wiki/a_b/v:1/0/index.zip", "wiki/a_b/v_1/0/index.zip"),
        ("hdfs", f"{BASIC}/0_index.tar.lz4", f"{BASIC}/0/index.tar.lz4"),
        ("s3", f"//archive/{DAY}/0/index.zip", f"{DAY}/0/index.zip"),
    ],
)  # fmt: skip
def test_a_segment_has_a_directory_of_its_own_in_names_that_the_storage_allows(
    to: str, place: str, placed: str
):
    """Druid's killer for local storage removes the directory above the object."""
    assert CLOUDS[to].own_location(Location(place)) == placed


DRUIDS_KEYS = [
    # the base key, what Druid's pusher makes of it, and what can be set here
    ("druid_deep_storage/", "druid_deep_storage//wiki/0/index.zip", "druid_deep_storage/"),
    ("druid_deep_storage/", "druid_deep_storage//wiki/0/index.zip", "druid_deep_storage"),
    ("druid_deep_storage/", "druid_deep_storage//wiki/0/index.zip", ""),
    ("druid//", "druid///wiki/0/index.zip", "druid//"),
    ("druid//", "druid///wiki/0/index.zip", "druid"),
    ("/druid/segments", "/druid/segments/wiki/0/index.zip", "/druid/segments"),
    ("/druid/segments", "/druid/segments/wiki/0/index.zip", ""),
    ("/druid/segments/", "/druid/segments//wiki/0/index.zip", "/druid/segments/"),
    ("druid//segments", "druid//segments/wiki/0/index.zip", "druid//segments"),
    ("/", "//wiki/0/index.zip", "/"),
    ("/", "//wiki/0/index.zip", ""),
    ("", "wiki/0/index.zip", ""),
]


@pytest.mark.parametrize(("base_key", "key", "prefix"), DRUIDS_KEYS)
@pytest.mark.parametrize("to", ["s3", "google"])
def test_a_key_is_what_druid_made_of_its_base_key(to: str, base_key: str, key: str, prefix: str):
    assert key == "/".join([*([base_key] if base_key else []), "wiki/0/index.zip"])
    if to == "s3":
        layout: Layout = S3Layout(bucket="b", prefix=prefix)
        spec: dict[str, object] = {"type": "s3_zip", "bucket": "b", "key": key, "S3Schema": "s3n"}
    else:
        layout = GoogleLayout(bucket="b", prefix=prefix)
        spec = {"type": "google", "bucket": "b", "path": key}
    source = SourceLayout(main=layout, others={"wiki": layout})
    place = source.locate(spec)

    assert place is not None
    assert source.load_spec(place) == spec
    placed = [target.own_location(place) for target in CLOUDS.values()]
    tail = "wiki/0/index.zip"
    assert all(one == tail or (not prefix and one.endswith(f"/{tail}")) for one in placed)
    assert all(is_plain(one) for one in placed)


@pytest.mark.parametrize("to", ["azure", "hdfs"])
def test_a_colon_leads_no_segment_into_the_folder_of_our_own_files(to: str):
    """These storages have an underscore in its place."""
    with pytest.raises(MalformedRowError, match="'_replicator' is the folder of this program"):
        CLOUDS[to].own_location(Location(":replicator/holds/x.zip"))


@pytest.mark.parametrize("to", CLOUDS)
@pytest.mark.parametrize("place", ["_replicator/0/index.zip", "//old//_replicator/0/index.zip"])
def test_no_segment_is_kept_in_the_folder_of_our_own_files(to: str, place: str):
    with pytest.raises(
        MalformedRowError, match="'_replicator' is the folder of this program's own"
    ):
        CLOUDS[to].own_location(Location(place))


@pytest.mark.parametrize("to", ["local", "hdfs", "s3", "google", "azure"])
def test_a_name_that_a_storage_cannot_keep_is_refused(to: str):
    fits = "d" * 255 if to in {"local", "hdfs"} else "d" * 900
    CLOUDS[to].own_location(Location(f"{fits}/index.zip"))
    with pytest.raises(MalformedRowError, match=r"its location has a (name|key) of"):
        CLOUDS[to].own_location(Location(f"{fits}{fits}/index.zip"))


VIEW = HdfsLayout(filesystem="viewfs://cluster", root="/druid/segments")
GS = GoogleLayout(bucket="b", prefix="")


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        (CLOUDS["hdfs"], "hdfs:/druid/segments/wiki/0/index.zip"),
        (CLOUDS["hdfs"], "hdfs:///druid/segments/wiki/0/index.zip"),
        (CLOUDS["hdfs"], "HDFS://other:8020/druid//segments/wiki/0/index.zip"),
        (CLOUDS["hdfs"], "webhdfs://nn:9870/druid/segments/wiki/0/index.zip"),
        (CLOUDS["hdfs"], "swebhdfs://nn:9871/druid/segments/wiki/0/index.zip"),
        (CLOUDS["hdfs"], "/druid/segments/wiki/0/index.zip"),
        (VIEW, "viewfs://cluster/druid/segments/wiki/0/index.zip"),
        (VIEW, "hdfs://nn:8020/druid/segments/wiki/0/index.zip"),
        (S3, "s3a://b/druid/segments/wiki/0/index.zip"),
        (S3, "s3n://b/druid/segments/wiki/0/index.zip"),
        (GS, "gs://b/wiki/0/index.zip"),
    ],
)
def test_hadoops_names_of_a_place_are_read(layout: Layout, path: str):
    """druid-hdfs-storage writes whatever `druid.storage.storageDirectory` is, HDFS or a bucket."""
    spec = {"type": "hdfs", "path": path}
    assert layout.locate(spec) == "wiki/0/index.zip"
    source = SourceLayout(main=CLOUDS["azure"], others={"theirs": layout})
    assert source.locate(spec) == "//theirs/wiki/0/index.zip"


@pytest.mark.parametrize(
    ("layout", "path", "words"),
    [
        (CLOUDS["hdfs"], "viewfs://cluster/druid/segments/x/index.zip", "not in the file system"),
        (CLOUDS["hdfs"], "s3a://b/druid/segments/x/index.zip", "a storage of type s3 or google"),
        (CLOUDS["hdfs"], "ftp:/druid/segments/x/index.zip", "not in the file system"),
        (VIEW, "viewfs://another/druid/segments/x/index.zip", "not in the file system"),
        (S3, "s3a://another/druid/segments/x/index.zip", "names the bucket 'another'"),
        (S3, "s3a://b/elsewhere/x/index.zip", "not a location below"),
        (S3, "hdfs://nn/druid/segments/x/index.zip", "type 'hdfs'"),
        (GS, "s3a://b/wiki/0/index.zip", "type 'hdfs'"),
    ],
)
def test_what_is_not_plainly_the_same_file_system_is_refused(layout: Layout, path: str, words: str):
    with pytest.raises(MisplacedError, match=words):
        layout.locate({"type": "hdfs", "path": path})


@pytest.mark.parametrize("place", [f"{BASIC}/0_index.lz4", f"{BASIC}/0/index.lz4"])
@pytest.mark.parametrize("to", CLOUDS)
def test_what_druid_37_packed_by_lz4_becomes_what_all_releases_read(to: str, place: str):
    """HdfsDataSegmentPuller knows lz4 since 37, no other puller does."""
    wanted = "0/index/" if to == "local" else "0/index.zip"
    assert CLOUDS[to].own_location(Location(place)) == f"{BASIC}/{wanted}"


@pytest.mark.parametrize("place", [f"{BASIC}/0_index.lz4", f"{BASIC}/0/index.lz4"])
def test_in_hdfs_lz4_stays_lz4_where_that_is_wished(place: str):
    layout = HdfsLayout(filesystem="hdfs://nn", root="/druid", lz4=True)
    assert layout.own_location(Location(place)) == f"{BASIC}/0/index.lz4"
    assert layout.own_location(Location(f"{BASIC}/0_index.zip")) == f"{BASIC}/0/index.zip"


def test_a_local_druid_reads_folders_zips_and_gz_only():
    place = f"{BASIC}/0/index.tar.lz4"
    with pytest.raises(MalformedRowError, match="cannot read it from a deep storage of type 'loc"):
        LAYOUT.own_location(Location(place))
    assert CLOUDS["hdfs"].own_location(Location(place)).startswith(f"{BASIC}/0/index.")
    for fine in ("0_index.zip", "0/index.gz", "0/index/"):
        LAYOUT.own_location(Location(f"{BASIC}/{fine}"))


@pytest.mark.parametrize("layout", [LAYOUT, *CLOUDS.values()])
@pytest.mark.parametrize("place", ["wiki", "wiki/2024", "0/index", "wiki.d"])
def test_a_place_without_a_slash_is_that_of_a_file(layout: Layout, place: str):
    """A folder's name would be kept where other segments have theirs."""
    with pytest.raises(MalformedRowError, match="cannot read it from"):
        layout.own_location(Location(place))


def test_what_druid_cannot_read_there_is_refused():
    with pytest.raises(MalformedRowError, match="cannot read it from a deep storage of type 's3_"):
        S3.own_location(Location(f"{BASIC}/0_index.tar.lz4"))


SPECS: dict[str, dict[str, object]] = {
    "s3": {"type": "s3_zip", "bucket": "b", "key": "druid/segments/wiki/0/index.zip"},
    "s3 unpacked": {"type": "s3_zip", "bucket": "b", "key": "wiki/0/", "S3Schema": "s3a"},
    "google": {"type": "google", "bucket": "g", "path": "segments/wiki/0/index.zip"},
    "azure": {
        "type": "azure",
        "containerName": "c",
        "blobPath": "wasbs://c@a.blob.core.windows.net/segments/wiki/0/index.zip",
    },
    "hdfs": {"type": "hdfs", "path": "hdfs://old-nn:9000/druid/segments/wiki/0/index.zip"},
}


@pytest.mark.parametrize("from_", SPECS)
def test_old_and_new_shapes_are_read(from_: str):
    wanted = "wiki/0/" if from_ == "s3 unpacked" else "wiki/0/index.zip"
    assert CLOUDS[from_].locate(SPECS[from_]) == wanted
    assert CLOUDS[from_].locate({"type": "tombstone"}) is None


@pytest.mark.parametrize("from_", SPECS)
@pytest.mark.parametrize("change", ["type", "place", "container", "gone"])
def test_another_storage_or_place_is_refused(from_: str, change: str):
    spec = dict(SPECS[from_])
    names = [n for n in spec if n in {"key", "path", "blobPath"}]
    containers = [n for n in spec if n in {"bucket", "containerName"}]
    match change:
        case "type":
            spec["type"] = "c*"
        case "place":
            spec[names[0]] = "/etc/../x" if from_ == "s3 unpacked" else "elsewhere/wiki/index.zip"
        case "container":
            spec |= dict.fromkeys(containers, "another")
            if not containers:
                return
        case _:
            del spec[names[0]]
    with pytest.raises(MalformedRowError):
        CLOUDS[from_].locate(spec)


FOLDER = {
    "type": "s3_zip",
    "bucket": "prod",
    "key": "druid/wiki/0/index/",
    "S3Schema": "s3n",
    "rangeable": True,
    "after": {"we": ["know"]},
}
"""As Druid 38 writes it (S3LoadSpec), and a later one may."""
PROD = S3Layout(bucket="prod", prefix="druid")


@pytest.mark.parametrize(
    ("target", "change", "written"),
    [
        (
            S3Layout(bucket="b", prefix="p", schema="s3a", packed=False),
            {},
            {**FOLDER, "bucket": "b", "key": "p/wiki/0/index/", "S3Schema": "s3a"},
        ),
        (
            S3Layout(bucket="b", prefix="p"),
            {"key": "druid/wiki/0/index.zip", "rangeable": False},
            {**FOLDER, "bucket": "b", "key": "p/wiki/0/index.zip", "rangeable": False},
        ),
        (
            S3Layout(bucket="b", prefix="p"),  # packed: not the layout that was spoken of
            {},
            {"type": "s3_zip", "bucket": "b", "key": "p/wiki/0/index.zip", "S3Schema": "s3n"},
        ),
        (
            GoogleLayout(bucket="b", prefix="p", packed=False),
            {},
            {"type": "google", "bucket": "b", "path": "p/wiki/0/index/"},
        ),
    ],
)
def test_what_is_not_known_of_a_load_spec_goes_along_where_type_and_layout_stay(
    target: Layout, change: dict[str, Any], written: dict[str, Any]
):
    """Without `rangeable` a Druid 38 reads all of a segment for a part of it, without a word."""
    found = {**FOLDER, **change}
    location = PROD.locate(found)

    assert location is not None
    assert moved(found, location, target) == written


@pytest.mark.parametrize(
    ("layout", "placed"),
    [
        (GoogleLayout(bucket="b", prefix="p", packed=False), f"{DAY}/0/index/"),
        (AzureLayout(container="c", prefix="p", packed=False), f"{BASIC}/0/index/"),
    ],
)
def test_folders_stay_folders_where_the_target_reads_them(layout: Layout, placed: str):
    assert layout.own_location(Location(f"{DAY}/0/index/")) == placed
    assert layout.locate(layout.load_spec(Location(placed))) == placed
    assert layout_of(layout_json(layout)) == layout


@pytest.mark.parametrize("layout", CLOUDS.values(), ids=CLOUDS)
def test_a_store_says_its_layout_in_words_that_older_releases_read(layout: Layout):
    """`packed` of Google and Azure is new; a release without it refuses what it does not know."""
    written = dict(layout_json(layout))

    assert layout_of(written) == layout
    assert "packed" not in written or written["type"] == "s3"


def test_the_load_specs_of_a_druid_in_s3_lead_back():
    layout = S3Layout(bucket="druid-src", prefix="druid/segments")
    rows = recorded_segments("druid-33-s3-segments.csv")
    assert rows
    for row in rows:
        spec = member(row.payload, "loadSpec")
        place = layout.locate(spec)
        assert place is not None
        assert place.startswith(f"{row.datasource}/{row.start}_{row.end}/")
        assert layout.load_spec(place) == spec
        assert layout.own_location(place) == place


def test_a_source_with_several_storages_is_read_from_each():
    archive = S3Layout(bucket="archive", prefix="")
    layout = SourceLayout(main=S3, others={"archive": archive, "before": LAYOUT})

    assert layout.locate(SPECS["s3"]) == "wiki/0/index.zip"
    assert layout.locate({"type": "s3_zip", "bucket": "archive", "key": "x/index.zip"}) == (
        "//archive/x/index.zip"
    )
    place = layout.locate({"type": "local", "path": "/druid/segments/x/index/"})
    assert place == "//before/x/index/"
    assert layout.load_spec(place) == {"type": "local", "path": "/druid/segments/x/index/"}
    assert S3.own_location(place) == "x/index.zip"
    with pytest.raises(MalformedRowError, match="type 'hdfs', the source's storages read 'local'"):
        layout.locate(SPECS["hdfs"])
    with pytest.raises(MalformedRowError, match="names the bucket 'third', this storage is 'b'"):
        layout.locate({"type": "s3_zip", "bucket": "third", "key": "x/index.zip"})


@pytest.mark.parametrize("type_", [None, {}, [], {"a": 1}, 7, True])
@pytest.mark.parametrize("layout", [LocalLayout(root="/r"), S3Layout(bucket="b", prefix="p")])
def test_a_type_that_is_no_text_is_the_rows_trouble(type_: object, layout: Layout):
    with pytest.raises(MalformedRowError):
        layout.locate({"type": type_, "path": "/r/a/index.zip", "bucket": "b", "key": "p/a"})
