"""Translation, or refusal, of rows that a target's Druid is too old to read.

Only exact translations are made: the answers stay the same, though something may be slower. A
refused row becomes a gap, so that it neither stops a Coordinator's rules nor hides other data. A
target whose release is unknown gets every row unchanged.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from replicator.errors import NewerReleaseError
from replicator.model.druid.known_since import (
    DIM_VALUE_SET,
    FOLDERS_SINCE,
    KNOWN,
    LZ4_SINCE,
    NUMBERED,
    SINGLE_FILE,
    TRANSLATED_RULES,
    Fate,
    Known,
    Sort,
    Trait,
    of_rule,
    unknown_to,
)
from replicator.model.druid.load_rules import parse
from replicator.model.druid.payload import encoded, member, with_changed_member
from replicator.model.druid.release import Release

_FOLDERS = {
    "s3_zip": ("s3", "key"),
    "azure": ("azure", "blobPath"),
    "google": ("google", "path"),
}
_VERSION_NAME = b'"binaryVersion"'
_VERSION = re.compile(re.escape(_VERSION_NAME) + rb"\s*:\s*(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class OlderDruid:
    """Rows in the form that one release reads; an unknown release (None) gets them unchanged."""

    release: Release | None = None

    def segment(self, payload: bytes) -> bytes:
        """Return a segment's payload in a form that the release reads, unchanged if possible.

        Raises:
            NewerReleaseError: there is no such form.
            MalformedRowError: the payload is not JSON.
        """
        if self.release is None:
            return payload
        self._require_version(payload, self.release)
        new = _new_shard_specs(self.release)
        if not any(name in payload for name in new):  # a fast path for nearly all segments
            return payload
        return with_changed_member(payload, "shardSpec", lambda found: _shard_spec(found, new))

    def load_spec(self, written: Mapping[str, Any]) -> None:
        """Refuse a target's load spec that the release cannot read.

        Raises:
            NewerReleaseError: the load spec names an lz4 container in HDFS, or a folder in a
                bucket, that the release cannot read.
        """
        if self.release is None:
            return
        if str(written.get("path", "")).endswith(".lz4") and self.release < LZ4_SINCE:
            raise NewerReleaseError(
                f"index.lz4 in HDFS is read since Druid {LZ4_SINCE.text}, and the target runs"
                f" {self.release.text}: set deep_storage.lz4 to false, and it becomes a zip"
            )
        if (found := _FOLDERS.get(str(written["type"]))) is None:
            return
        storage, member_ = found
        since = FOLDERS_SINCE[storage]
        if written[member_].endswith("/") and (since is None or self.release < since):
            raise NewerReleaseError(
                f"folders in a deep storage of type {storage} are read"
                f" {'by no release yet' if since is None else f'since Druid {since.text}'}, and the"
                f" target runs {self.release.text}: set deep_storage.unpacked to false"
            )

    def files(self, names: Collection[str]) -> None:
        """Refuse a segment whose files the release cannot load.

        Raises:
            NewerReleaseError: the segment is a single file, of version 10.
        """
        if self.release is None or SINGLE_FILE not in names:
            return
        if known := unknown_to(Trait(Sort.BINARY_VERSION, "10"), self.release):
            raise _refused(known, self.release)

    def rules(self, payload: bytes) -> bytes:
        """Return rules in a form that the release reads, unchanged if possible.

        Raises:
            NewerReleaseError: the release cannot read one of the rules, and the others would mean
                something else without it.
            MalformedRowError: the payload is not a list of rules.
        """
        if self.release is None:
            return payload
        found = parse(payload)
        read = [_rule(rule, self.release) for rule in found]
        if read == found:
            return payload
        return encoded(read)

    def _require_version(self, payload: bytes, release: Release) -> None:
        if not any(_is_new(found, release) for found in _versions(payload)):
            return
        version = member(payload, "binaryVersion")  # the search above also finds nested names
        if known := unknown_to(Trait(Sort.BINARY_VERSION, str(version)), release):
            raise _refused(known, release)


@lru_cache(maxsize=16)
def _new_shard_specs(release: Release) -> frozenset[bytes]:
    return frozenset(
        one.trait.name.encode()
        for one in KNOWN
        if one.trait.sort is Sort.SHARD_SPEC and release < one.since
    )


def _versions(payload: bytes) -> Iterator[bytes]:
    """Yield what is said of a version anywhere in a payload; the last place is Druid's own."""
    end = len(payload)
    while (at := payload.rfind(_VERSION_NAME, 0, end)) >= 0:
        if (found := _VERSION.match(payload, at)) is not None:
            yield found[1]
        end = at


@lru_cache(maxsize=64)
def _is_new(version: bytes, release: Release) -> bool:
    return unknown_to(Trait(Sort.BINARY_VERSION, version.decode()), release) is not None


def _shard_spec(found: Any, new: frozenset[bytes]) -> Any:
    type_ = found.get("type") if isinstance(found, dict) else None
    if not isinstance(type_, str) or type_.encode() not in new:
        return found
    assert found["type"] == DIM_VALUE_SET  # noqa: S101 - a line of the table without a translation
    return {**dict(_without(found, "partitionDimensionValues")), "type": NUMBERED}


def _rule(rule: dict[str, Any], release: Release) -> dict[str, Any]:
    known = unknown_to(of_rule(rule), release)
    if known is None:
        return rule
    if known.fate is not Fate.TRANSLATED:
        raise _refused(known, release)
    older = dict(_without(rule, "matcher", "onCannotMatch"))
    return {**older, "type": TRANSLATED_RULES[rule["type"]]}


def _without(found: Mapping[str, Any], *names: str) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in found.items() if name not in names)


def _refused(known: Known, release: Release) -> NewerReleaseError:
    return NewerReleaseError(
        f"{known.trait.text} is read since Druid {known.since.text}, and the target runs"
        f" {release.text}: {known.effect}"
    )
