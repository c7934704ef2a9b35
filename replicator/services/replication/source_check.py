"""Tells a source's storage that is away from segments whose bytes are gone."""

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from replicator.errors import ConfigError, GapError, RefusedError, TransientError
from replicator.model.checkpoint import (
    OBJECT_DENIED,
    OBJECT_MISSING,
    OBJECT_REWRITTEN,
    PLACE_REFUSED,
)
from replicator.model.event import Offset
from replicator.model.inventory.ledger import Offsets
from replicator.model.load_spec import Location, storage_of
from replicator.model.operations.words import counted
from replicator.services.history.reader import History
from replicator.services.target.copier import Copier, Uncopied
from replicator.services.target.reconciler import Reconciler

RECORDS_MAX = 20_000
"""Records of the log, its newest, in which other segments are looked for."""
ROWS_MAX = 200
"""Other segments, the newest, whose locations are read."""
LOCATIONS_MIN, LOCATIONS_MAX = 3, 20
"""Locations that are looked at in one storage: fewer prove nothing, and more add nothing."""
_OF_ALL_MAYBE = frozenset({OBJECT_DENIED, OBJECT_REWRITTEN, PLACE_REFUSED})
"""Reasons that many rows have at once if permissions, or a storage's settings, are wrong."""


class SourceCheck:
    """Looks whether other used segments have their bytes, before missing ones become gaps.

    An empty disk in place of the mount, another bucket or a wrong prefix shows nothing at all; a
    kill, or a file that was deleted by hand, leaves the others. What counts is what the source
    uses at the log's end, also where a target is far behind it: older bytes may be killed.

    Args:
        history: Names the other segments.
        copier: Looks into the source's storages.
    """

    def __init__(self, history: History, copier: Copier) -> None:
        self._history, self._copier = history, copier

    async def require_there(self, missing: Sequence[Uncopied], known: Collection[Offset]) -> None:
        """Refuse to take missing bytes for gone while no other segment's bytes are there either.

        Args:
            missing: Rows that are about to become gaps.
            known: Events whose rows have a gap already: their bytes prove nothing.

        Raises:
            TransientError: a storage of the source seems to be away, or is unreachable.
        """
        if not missing:
            return
        gone = await self._copier.locations(_sorted(row.offset for row in missing))
        others = await self._others({row.offset for row in missing} | {*known})
        for name in sorted({storage_of(location)[0] for location in gone}):
            same = [one for one in others if storage_of(one)[0] == name and one not in gone]
            await self._require_one(same[-LOCATIONS_MAX:], missing)

    async def require_storage(self, uncopied: Sequence[Uncopied], reconciler: Reconciler) -> None:
        """Require that some segment of the newest cut is in a configured storage of the source.

        Raises:
            ConfigError: none is.
        """
        misplaced = [row for row in uncopied if row.misplaced]
        if misplaced and not await reconciler.has_segments():
            raise ConfigError(
                f"none of {len(misplaced)} segments is in a configured deep storage of the source;"
                f" the first is {misplaced[0].key.key}: {misplaced[0].detail}",
                hint="correct `source.deep_storage` (its prefix is Druid's own, slashes and all),"
                " or name their storage in `source.other_deep_storages`; nothing was changed",
            )

    async def _require_one(
        self, locations: Sequence[Location], missing: Sequence[Uncopied]
    ) -> None:
        # A small source, or a quiet one, has too few others to tell a lost mount from killed
        # segments.
        if len(locations) < LOCATIONS_MIN:
            return
        for location in reversed(locations):
            if await self._copier.is_there(location):
                return
        raise TransientError(
            f"the bytes of {counted(len(missing), 'new segment')} are missing, and so are those of"
            f" {len(locations)} others that the source uses: its deep storage seems not to be"
            f" mounted; the first is {missing[0].key.key} ({missing[0].detail})",
            hint="mount the source's deep storage, or correct its bucket and prefix; if all of"
            " these bytes are really gone, mark the segments unused at the source: no Druid can"
            " load them",
        )

    async def _others(self, without: Collection[Offset]) -> Sequence[Location]:
        """Return locations of the newest used segments that the last records have changed.

        A log that is trimmed meanwhile names none: what it had there is old.
        """
        try:
            offsets = [one for one in await self._used() if one not in without]
            return await self._copier.locations(_sorted(offsets[-ROWS_MAX:]))
        except GapError:
            return ()

    async def _used(self) -> Sequence[Offset]:
        span = await self._history.span()
        at = await self._history.resume(Offset(max(span.first, span.end - RECORDS_MAX)))
        found = dict[str, Offset]()
        while at is not None and at < span.end:
            updates, at = await self._history.segment_updates(at, Offset(span.end - 1))
            for offset, update in updates:
                found.pop(update.id, None)
                if update.used:
                    found[update.id] = offset
        return [*found.values()]


def refuse_many(uncopied: Sequence[Uncopied], most: int) -> None:
    """Refuse more rows without bytes than kill tasks, or damage of single objects, can explain.

    Raises:
        RefusedError: there are more than `most` of one sort.
    """
    refused = [row for row in uncopied if row.reason in _OF_ALL_MAYBE]
    if len(refused) > most:
        raise RefusedError(
            f"{len(refused)} segments cannot be read or stored, the first is"
            f" {refused[0].key.key} ({refused[0].detail})",
            hint="if only single segments are affected, raise objects_missing_max, so that they"
            " become gaps; otherwise correct the permissions or the storage's settings",
        )
    missing = [row for row in uncopied if row.reason == OBJECT_MISSING]
    if len(missing) > most:
        raise RefusedError(
            f"{len(missing)} segments have no bytes in the source's deep storage, the first is"
            f" {missing[0].key.key} ({missing[0].detail})",
            hint="check that the source's deep storage is the right one and mounted; if"
            " segments are really gone, raise objects_missing_max, so that they become gaps",
        )


def _sorted(offsets: Iterable[Offset]) -> Offsets:
    return np.array(sorted(offsets), np.int64)
