"""Which datasources that were restored under another name the source has meanwhile, too.

A target follows its source whatever was restored beside it: rows that the source publishes under
such a name come beside those of the copy, hide them by a newer version, or have the same ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from replicator.ports import SourceReader

if TYPE_CHECKING:
    from replicator.model.log.renaming import Renamed

COPIES_MAX = 100
"""Copies of a target that one look asks the source about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MixedCopy:
    """A copy on a target that the source's own rows are mixed with, or will be."""

    target: str
    copy: Renamed


async def mixed_copies(
    target: str, copies: Sequence[Renamed], source: SourceReader
) -> list[MixedCopy]:
    """Return the copies under whose names the source has used segments.

    Raises:
        TransientError, ConfigError: the source cannot be queried.
    """
    looked_at = copies[:COPIES_MAX]
    if not looked_at:
        return []
    free = await source.without_used([one.datasource for one in looked_at])
    return [MixedCopy(target=target, copy=one) for one in looked_at if one.datasource not in free]
