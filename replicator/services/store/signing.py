"""Signs what a store holds already: for stores begun before there was a key, and for a new key."""

from collections.abc import Sequence
from dataclasses import dataclass

from replicator.errors import CorruptionError, NotFoundError
from replicator.model.observation import Observer, Progress
from replicator.model.operations.scheduled_run import FOLDER as SCHEDULES
from replicator.model.store.archive import BASES, HISTORY
from replicator.model.store.archive_notes import ABOUT, GAPS
from replicator.model.store.drill import DRILLS
from replicator.model.store.head import heads_of
from replicator.model.store.holds import HOLDS, POINTS, RESTORES
from replicator.model.store.intent import EXPIRY
from replicator.model.store.proof import PROOFS
from replicator.model.store.seal import SEALS
from replicator.ports import LIST_BYTES_MAX, SealableStorage, SignableArea
from replicator.services.records import applier_record, druid_release

STATE = "state"
"""Folder of an archive's checkpoints."""
FOLDERS = (
    SCHEDULES,
    SEALS,
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
"""Everything but receipts, which storages keep by themselves."""
NOTES = (applier_record.NAME, druid_release.NAME)
"""Files beside the folders; others are written again when they cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What became of a store's files."""

    signed: int
    signed_before: int
    refused: tuple[str, ...]
    """A message for each file with a signature that is not believed."""

    def __add__(self, other: "Signed") -> "Signed":
        return Signed(
            signed=self.signed + other.signed,
            signed_before=self.signed_before + other.signed_before,
            refused=self.refused + other.refused,
        )


async def sign_all(area: SignableArea, *, observer: Observer) -> Signed:
    """Sign each file that is not signed by this machine's key yet.

    Nothing else may write to the store meanwhile: a file that is replaced between the read and the
    write of its signature would be the earlier one again.

    Raises:
        ConfigError: this machine has no private key for the target.
        TransientError: the store is unreachable; the same call continues where it stopped.
    """
    names = [name for folder in FOLDERS for name in await area.names(f"{folder}/")]
    return await _sign(area, [*names, *NOTES], observer)


async def sign_heads(area: SignableArea, target: str, *, observer: Observer) -> Signed:
    """Sign what a witness remembers of a target's store.

    Raises:
        ConfigError, TransientError: as for `sign_all`.
    """
    return await _sign(area, await area.names(heads_of(target)), observer)


async def _sign(area: SignableArea, names: Sequence[str], observer: Observer) -> Signed:
    count, before, refused = 0, 0, list[str]()
    for done, name in enumerate(names, start=1):
        try:
            if await area.sign(name, bytes_max=LIST_BYTES_MAX):
                count += 1
            else:
                before += 1
        except NotFoundError:
            continue  # an optional note that this store does not have
        except CorruptionError as exc:
            refused.append(str(exc))
        observer(Progress(what="sign", done=done, total=len(names), unit="files"))
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
        observer(Progress(what="seal", done=done, total=None, unit="places"))
    return Signed(signed=count, signed_before=before, refused=tuple(refused))
