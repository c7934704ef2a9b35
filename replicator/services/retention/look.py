"""One look at a target and its store, and what has expired by it."""

from dataclasses import dataclass

from replicator.model.checkpoint import Checkpoint
from replicator.model.event import Offset
from replicator.model.store.archive import base_folder
from replicator.model.store.holds import Hold
from replicator.services.retention.references import beginning_until, ending_after
from replicator.services.store.archived_log import ArchivedLog
from replicator.services.store.store import Listing


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpiredFiles:
    """Files that no point needs any more."""

    history: tuple[str, ...]
    """Files with no record after the horizon."""
    begun: tuple[str, ...]
    """Files with a record at or before the horizon."""
    until: Offset
    """The horizon: references of records up to here may be deleted."""
    bases: tuple[Offset, ...]
    base_files: tuple[str, ...]
    """Files of the expired bases, and of bases that were never finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Over:
    """Holds and leases that a look found over; each may be deleted if it still is."""

    holds: tuple[str, ...]
    """Names of holds."""
    leases: tuple[str, ...]
    """Files of the leases of restores that have ended or died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at a target and its store: first the checkpoint, then the holds, then the files.

    The order matters: a hold's base is written before the hold, and history before the checkpoint.
    So the files of each hold and checkpoint in the look are in its listing, unless they are
    deleted.
    """

    checkpoint: Checkpoint | None
    holds: tuple[Hold, ...]
    """Holds in force on cuts of this log."""
    ended_holds: tuple[str, ...]
    """Names of the holds that are not in force any more, on cuts of any log."""
    listing: Listing
    archive: ArchivedLog
    """History of the log that the target follows, as it was listed."""

    @property
    def log_id(self) -> str:
        """Id of the log that the target follows."""
        return self.archive.log_id

    @property
    def held_offsets(self) -> set[Offset]:
        """Offsets of the held cuts."""
        return {hold.point.offset for hold in self.holds}

    @property
    def checkpoint_offset(self) -> Offset | None:
        """Offset of the cut that the whole target is at; its base stays for `verify`."""
        if self.checkpoint is None or self.checkpoint.datasource:
            return None
        return self.checkpoint.offset

    def expired_files(self, horizon: Offset) -> ExpiredFiles:
        """Return the files that contain only what is before the horizon and not held."""
        retained = self.held_offsets
        if (reached := self.checkpoint_offset) is not None:
            retained.add(reached)
        folders = tuple(base_folder(self.log_id, offset) for offset in retained)
        end = base_folder(self.log_id, horizon)
        history = self.listing.history_of(self.log_id)
        begun = beginning_until(history, horizon) if horizon else []
        behind = set(ending_after(begun, horizon))
        offsets = self.listing.offsets(self.log_id)
        names = self.listing.bases_of(self.log_id)
        return ExpiredFiles(
            history=tuple(name for name in begun if name not in behind),
            begun=tuple(begun),
            until=horizon,
            bases=tuple(
                offset for offset in offsets if offset < horizon and offset not in retained
            ),
            base_files=tuple(n for n in names if n < end and not n.startswith(folders)),
        )
