"""What a target's Druid is given of what it is too old to read."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from replicator.errors import MalformedRowError, NewerReleaseError
from replicator.model.druid.known_since import KNOWN, Fate, Sort, Trait, traits, unknown_to
from replicator.model.druid.older_druid import OlderDruid
from replicator.model.druid.payload import member
from replicator.model.druid.release import Release, release_of
from replicator.model.druid.skew import skewed
from replicator.model.row import Row
from tests.builders import (
    ONE_OF_EACH,
    config_entry,
    json_bytes,
    recorded_segments,
    rules,
    segment,
    segment_payload,
    supervisor,
)

D33, D36, D37, D38 = (OlderDruid(release=Release(n)) for n in (33, 36, 37, 38))
PARTIAL = {
    "type": "loadPartialByPeriod",
    "period": "P1M",
    "includeFuture": True,
    "tieredReplicants": {"_default_tier": 2},
    "useDefaultTierForNull": True,
    "matcher": {"type": "exactProjection", "projections": ["daily"]},
    "onCannotMatch": "fullLoad",
}
"""As PeriodPartialLoadRule of 38.0.0 writes it."""
WHOLE = {
    "type": "loadByPeriod",
    "period": "P1M",
    "includeFuture": True,
    "tieredReplicants": {"_default_tier": 2},
    "useDefaultTierForNull": True,
}
FOREVER = {"type": "loadForever", "tieredReplicants": {"_default_tier": 1}}
VALUES = {
    "type": "dim_value_set",
    "partitionNum": 3,
    "partitions": 0,
    "partitionDimensionValues": {"country": ["DE", None, "numbered"]},
}
"""As DimensionValueSetShardSpec of 38.0.0 writes it."""


@pytest.mark.parametrize(
    ("said", "release"),
    [
        ("33.0.0", Release(33)),
        ("37", Release(37)),
        ("38.0.0-SNAPSHOT", Release(38)),
        ("31.0.2", Release(31, 0, 2)),
        ("36.0.0-iap-preview", Release(36)),
        ("2024.09.1-iap", None),  # a vendor's year
        ("", None),
        ("unknown", None),
    ],
)
def test_a_release_is_what_a_server_says(said: str, release: Release | None):
    assert release_of(said) == release


def test_rules_that_load_parts_load_all_on_an_older_druid():
    """One rule of a type that a Coordinator does not know ends all its polls for rules."""
    payload = json_bytes([PARTIAL, FOREVER])

    assert json.loads(D37.rules(payload)) == [WHOLE, FOREVER]
    assert D38.rules(payload) is payload
    assert OlderDruid().rules(payload) is payload


@pytest.mark.parametrize("behaviour", ["loadOnDemand", "baseLoad", None, "of a later release"])
def test_whatever_a_rule_does_with_what_it_does_not_match_it_applies_to_it(behaviour: str | None):
    """CannotMatchBehavior: every value but `fallThrough`, and what is not known, applies."""
    payload = json_bytes([{**PARTIAL, "onCannotMatch": behaviour}])

    assert json.loads(D33.rules(payload)) == [WHOLE]


def test_a_rule_that_falls_through_is_said_by_no_older_one():
    payload = json_bytes([FOREVER, {**PARTIAL, "onCannotMatch": "fallThrough"}])

    with pytest.raises(NewerReleaseError, match=r"fallThrough is read since Druid 38\.0\.0, .*33"):
        D33.rules(payload)
    assert D38.rules(payload) is payload


@pytest.mark.parametrize("row", ONE_OF_EACH, ids=lambda row: type(row).__name__)
def test_what_a_druid_25_wrote_is_read_by_all(row: Row):
    assert not skewed(dict.fromkeys(traits(row), "it"), Release(25))


def test_segments_that_a_druid_37_wrote_are_the_same_bytes_for_a_druid_33():
    for row in recorded_segments("druid-37-segments.csv"):
        assert D33.segment(row.payload) is row.payload


def test_a_segment_with_the_values_of_its_dimensions_is_a_numbered_one():
    """It extends that (DimensionValueSetShardSpec): a Broker skips fewer segments, and no row."""
    payload = segment_payload(shardSpec=VALUES)
    before = json_bytes({**payload, "metrics": "dim_value_set"})

    after = D37.segment(before)
    assert member(after, "shardSpec") == {"type": "numbered", "partitionNum": 3, "partitions": 0}
    shard_spec = re.compile(rb'"shardSpec":\{.*?\}(?=,"binaryVersion)')
    assert shard_spec.sub(b"", after) == shard_spec.sub(b"", before)
    assert D38.segment(before) is before


def test_a_name_that_reads_like_a_new_shard_spec_is_none():
    payload = json_bytes(segment_payload(dimensions="dim_value_set"))

    assert D33.segment(payload) is payload


@pytest.mark.parametrize(
    ("druid", "version", "refused"), [(D33, 10, True), (D33, 9, False), (D36, 10, False)]
)
def test_a_segment_that_no_historical_could_load_is_refused(
    druid: OlderDruid, version: int, *, refused: bool
):
    """It would hide what it replaces, and serve nothing itself."""
    payload = json_bytes(segment_payload(binaryVersion=version))
    if refused:
        with pytest.raises(NewerReleaseError, match=r"version 10 is read since Druid 36\.0\.0"):
            druid.segment(payload)
    else:
        assert druid.segment(payload) is payload


def test_a_version_within_another_member_is_not_the_segments():
    state = {"indexSpec": {"binaryVersion": 10}}
    payload = json_bytes(segment_payload(lastCompactionState=state))

    assert D33.segment(payload) is payload


def test_what_is_no_json_is_a_row_of_its_own_trouble():
    with pytest.raises(MalformedRowError):
        D33.rules(b"{}")
    assert traits(replace(segment(), payload=b"[")) == frozenset()


S3_FOLDER = {"type": "s3_zip", "bucket": "b", "key": "wiki/0/index/", "S3Schema": "s3n"}
LZ4 = {"type": "hdfs", "path": "hdfs://nn/druid/wiki/0/index.lz4"}


@pytest.mark.parametrize(
    ("written", "since"),
    [
        (S3_FOLDER, 35),
        ({**S3_FOLDER, "key": "wiki/0/index.zip"}, 25),
        ({"type": "azure", "containerName": "c", "blobPath": "wiki/0/index/"}, None),
        ({"type": "google", "bucket": "b", "path": "wiki/0/index/"}, None),
        ({"type": "local", "path": "/druid/wiki/0/index/"}, 25),
        ({"type": "hdfs", "path": "/druid/wiki/0/index.zip"}, 25),
        (LZ4, 37),
        ({"type": "tombstone"}, 25),
    ],
)
def test_a_place_is_refused_by_the_releases_that_cannot_read_it(
    written: dict[str, str], since: int | None
):
    """Folders in S3: #18544 in 35; in Azure, Google: none until 38; lz4 in HDFS: #18982 in 37."""
    reads = []
    for major in range(25, 39):
        try:
            OlderDruid(release=Release(major)).load_spec(written)
        except NewerReleaseError:
            continue
        reads.append(major)
    assert reads == list(range(since or 39, 39))


def of_bounded(**io: Any) -> bytes:
    return json_bytes({"type": "kafka", "spec": {"ioConfig": {"topic": "clicks", **io}}})


@pytest.mark.parametrize(
    ("row", "found"),
    [
        (rules(payload=json_bytes([PARTIAL])), {("rule loadPartialByPeriod", Fate.TRANSLATED)}),
        (
            rules(payload=json_bytes([{**PARTIAL, "onCannotMatch": "fallThrough"}])),
            {("rule loadPartialByPeriod with onCannotMatch fallThrough", Fate.REFUSED)},
        ),
        (
            segment(payload=json_bytes(segment_payload(shardSpec=VALUES, binaryVersion=10))),
            {
                ("shard spec dim_value_set", Fate.TRANSLATED),
                ("segments of version 10", Fate.REFUSED),
            },
        ),
        (
            segment(
                payload=json_bytes(
                    segment_payload(loadSpec={"type": "s3_zip", "key": "a/", "rangeable": True})
                )
            ),
            {("load spec with rangeable", Fate.UNCHANGED)},
        ),
        (
            supervisor(payload=of_bounded(boundedStreamConfig={"startOffsets": {"0": 1}})),
            {("supervisor with boundedStreamConfig", Fate.ASLEEP)},
        ),
        (supervisor(payload=of_bounded()), set()),
        (
            config_entry(
                name="coordinator.config",
                payload=json_bytes({"historicalTierAliases": {"hot": ["hot_1", "hot_2"]}}),
            ),
            {("member of coordinator.config historicalTierAliases", Fate.NAMED)},
        ),
        (
            config_entry(name="coordinator.config", payload=b'{"historicalTierAliases":{}}'),
            set(),
        ),
    ],
)
def test_all_that_a_druid_33_does_not_know_is_named(row: Row, found: set[tuple[str, Fate]]):
    seen = dict.fromkeys(traits(row), "row 7")
    said = skewed(seen, Release(33))

    assert {(one.known.trait.text, one.known.fate) for one in said} == found
    assert all("row 7" in one.text for one in said)
    assert not skewed(seen, Release(38))


def test_every_line_says_what_an_older_one_does_and_where_that_was_read():
    assert len({one.trait for one in KNOWN}) == len(KNOWN)
    for one in KNOWN:
        assert one.effect
        assert one.source
        assert unknown_to(one.trait, one.since) is None
        assert unknown_to(one.trait, Release(one.since.major - 1, 9, 9)) is one
    assert unknown_to(Trait(Sort.RULE, "of an extension"), Release(25)) is None
