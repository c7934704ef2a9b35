"""Which tables rows need."""

from dataclasses import replace

import pytest

from replicator.model.druid.druid_tables import TableRelease, tables_for
from replicator.model.row import Kind, Segment
from tests.builders import segment

DATA = frozenset({Kind.SEGMENT, Kind.COMMIT})
NEW = segment("wiki")
OLD = replace(NEW, used_status_last_updated=None)


@pytest.mark.parametrize(
    ("kinds", "seen", "release", "centralized"),
    [
        (DATA, OLD, "25", False),
        (DATA, NEW, "33", False),
        (DATA | {Kind.SEGMENT_SCHEMA}, NEW, "33", True),
        (DATA | {Kind.INDEXING_STATE}, NEW, "37", False),
        (DATA | {Kind.INDEXING_STATE, Kind.SEGMENT_SCHEMA}, None, "37", True),
    ],
)
def test_a_kind_or_a_column_tells_the_release(
    kinds: frozenset[Kind], seen: Segment | None, release: str, centralized: bool
):
    wanted = TableRelease(release=release, centralized=centralized, because="of it")
    assert tables_for(kinds, seen, "of it") == wanted


def test_without_any_row_nobody_knows():
    assert tables_for(DATA, None, "of it") is None
