"""Signs the existing files of a store: after a first key was made, or a new one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.observation import Observer, Progress
from replicator.model.operations.scheduled_run import FOLDER as SCHEDULES
from replicator.model.store.archive import BASES, HISTORY
from replicator.model.store.archive_notes import ABOUT, GAPS
from replicator.model.store.drilled import DRILLS
from replicator.model.store.head import heads_of
from replicator.model.store.holds import HOLDS, POINTS, RESTORES
from replicator.model.store.intent import EXPIRY
from replicator.model.store.proof import PROOFS
from replicator.model.store.seal import seal_folders
from replicator.ports import PLACES_BYTES_MAX, SealableStorage, SignableArea
from replicator.services.records import applier_record, druid_release, store_id

STATE = "state"
"""Folder of an archive's checkpoints."""
FOLDERS = (
    SCHEDULES,
    ABOUT,
    BASES,
    HISTORY,
    GAPS,
    POINTS,
    HOLDS,
    RESTORES,
    EXPIRY,
    DRILLS,
    PROOFS,
    STATE,
)
"""Folders to sign: all but receipts, which storages keep by themselves, and seals."""
NOTES = (applier_record.NAME, druid_release.NAME, store_id.NAME)
"""Files to sign outside these folders; others are rewritten when they cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Result of signing a store's files."""

    signed: int
    signed_before: int
    refused: tuple[str, ...]
    """A message for each file whose signature is not trusted."""

    def __add__(self, other: "Signed") -> "Signed":
        return Signed(
            signed=self.signed + other.signed,
            signed_before=self.signed_before + other.signed_before,
            refused=self.refused + other.refused,
        )


NONE: Final = Signed(signed=0, signed_before=0, refused=())


async def sign_all(area: SignableArea, *, observer: Observer) -> Signed:
    """Sign each file that is not signed by this machine's key yet.

    Nothing else may write to the store meanwhile: a file that is replaced between the read and the
    write of its signature would be the earlier one again.

    Raises:
        ConfigError: this machine has no private key for the target.
        TransientError: the store is unreachable; the same call continues where it stopped.
    """
    found = await _sign(area, NOTES, observer)
    # The names of one folder at a time are in memory: there is a seal for each segment.
    for prefix in (*(f"{folder}/" for folder in FOLDERS), *seal_folders()):
        found = await _sign(area, await area.names(prefix), observer, found)
    return found


async def sign_heads(area: SignableArea, target: str, *, observer: Observer) -> Signed:
    """Sign what a witness remembers of a target's store.

    Raises:
        ConfigError, TransientError: as for `sign_all`.
    """
    return await _sign(area, await area.names(heads_of(target)), observer)


async def _sign(
    area: SignableArea, names: Sequence[str], observer: Observer, former: Signed = NONE
) -> Signed:
    count, before, refused = former.signed, former.signed_before, list(former.refused)
    for name in names:
        try:
            if await area.sign(name, bytes_max=PLACES_BYTES_MAX):
                count += 1
            else:
                before += 1
        except NotFoundError:
            continue  # an optional note that this store does not have
        except CorruptionError as exc:
            refused.append(str(exc))
        done = count + before + len(refused)
        observer(Progress(what="sign", done=done, total=None, unit="files"))
    return Signed(signed=count, signed_before=before, refused=tuple(refused))


async def seal_all(storage: SealableStorage, *, observer: Observer) -> Signed:
    """Seal each location that has a receipt and no seal yet, whatever its bytes are.

    Raises:
        ConfigError, TransientError: as for `sign_all`.
    """
    count, before, refused = 0, 0, list[str]()
    async for page in storage.stored_locations(lambda _: False):
        for location in [one.location for one in page if one.has_receipt]:
            try:
                sealed = await storage.seal(location)
            except CorruptionError as exc:
                refused.append(str(exc))
                continue
            count, before = count + sealed, before + (not sealed)
        done = count + before + len(refused)
        observer(Progress(what="seal", done=done, total=None, unit="locations"))
    return Signed(signed=count, signed_before=before, refused=tuple(refused))
