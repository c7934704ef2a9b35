"""What a target's release means for how its segments are kept there."""

import pytest

from replicator.model.druid.release import Release
from replicator.services.standby.skew import folder_notes, lz4_notes


@pytest.mark.parametrize(
    ("storage", "release", "unpacked", "has_folders", "said"),
    [
        ("s3", 33, True, False, "unpacked is true, and folders in s3 are read by release 35"),
        ("s3", 35, True, True, None),
        ("s3", 38, False, True, "segments that the source's Druid reads in parts become zips"),
        ("s3", 38, False, False, None),
        ("s3", 33, False, True, None),
        ("azure", 38, True, False, "folders in azure are read by no release yet"),
        ("google", 38, True, False, "folders in google are read by no release yet"),
        ("google", 38, False, True, None),
        ("local", 33, True, True, None),
        ("s3", None, True, True, None),
    ],
)
def test_folders_are_kept_where_the_release_reads_them(
    storage: str, release: int | None, *, unpacked: bool, has_folders: bool, said: str | None
):
    """Packing costs a Druid 38 that it reads segments in parts; folders cost an older one all."""
    found = folder_notes(
        storage,
        unpacked=unpacked,
        release=None if release is None else Release(release),
        has_folders=has_folders,
    )
    assert [said in one.text for one in found if said is not None] == [True] * (said is not None)
    assert len(found) == (said is not None)
    assert all(one.good is not unpacked and one.hint for one in found)


@pytest.mark.parametrize(
    ("lz4", "release", "good"),
    [(True, 36, False), (True, 37, True), (True, None, True), (False, 33, True)],
)
def test_lz4_is_kept_where_the_release_reads_it(*, lz4: bool, release: int | None, good: bool):
    found = lz4_notes(lz4=lz4, release=None if release is None else Release(release))
    assert (not found) is good
    assert all(not one.good and "zips" in one.hint for one in found)
