"""Checks for contradictions between settings that are valid one by one."""

from collections.abc import Iterable, Mapping

from replicator.config.clusters.clusters import SourceSettings, TargetSettings
from replicator.config.clusters.storages import (
    DeepStorageSettings,
    RemoteStorage,
    S3StorageSettings,
    overlap,
)
from replicator.config.logs import KafkaLogSettings, LogSettings
from replicator.config.operations.schedules import DrillScheduleSettings, ScheduleSettings


def unkept(
    name: str, target: TargetSettings, source: SourceSettings, log: LogSettings
) -> Iterable[str]:
    """Yield the promises that any segment or event would break by waiting for a moment."""
    if source.kill_buffer is not None and source.kill_buffer <= target.kill_margin_min:
        yield (
            f"targets.{name}.kill_margin_min is not shorter than source.kill_buffer: the first"
            " segment that waits would break the promise"
        )
    retention = log.retention if isinstance(log, KafkaLogSettings) else None
    if retention is not None and retention <= target.log_margin_min:
        yield (
            f"targets.{name}.log_margin_min is not shorter than log.retention: the first event"
            " that waits would break the promise"
        )


RESTORE_VERBS = frozenset({"plan", "run"})


def alone(name: str, target: TargetSettings) -> Iterable[str]:
    """Yield the settings that an archive cannot have because it has no cluster."""
    if target.metadata is None and target.druid is not None:
        yield f"targets.{name}.druid goes with targets.{name}.metadata: an archive has no Druid"


def unwitnessed(
    name: str, target: TargetSettings, targets: Mapping[str, TargetSettings]
) -> Iterable[str]:
    """Yield why a target cannot be the witness of this target's store."""
    witness = None if target.signing is None else target.signing.witness
    if witness is not None and (witness == name or witness not in targets):
        yield (
            f"targets.{name}.signing.witness must be another target of this configuration, and"
            f" {witness!r} is not"
        )


def reserved(name: str) -> Iterable[str]:
    """Yield the target's name if the command line would read it as a verb."""
    if name in RESTORE_VERBS:
        yield f"targets.{name}: `replicator restore {name}` is a verb; choose another name"


def too_strict(name: str, target: TargetSettings, quiet_s: float) -> Iterable[str]:
    """Yield the promise that an idle source would break."""
    if target.rpo.total_seconds() < quiet_s:
        yield (
            f"targets.{name}.rpo is shorter than watch.idle_cut_interval_s and"
            f" poll_interval_s together ({quiet_s:g} s): a source without changes would"
            " break the promise"
        )


def undrilled(
    name: str, target: TargetSettings, schedules: Mapping[str, ScheduleSettings]
) -> Iterable[str]:
    """Yield the promise that would be broken before the next drill is due."""
    promise = target.drill.promise
    pauses = [
        one.pause_max
        for one in schedules.values()
        if isinstance(one, DrillScheduleSettings) and name in (one.targets or (name,))
    ]
    if promise is not None and pauses and promise <= min(pauses):
        yield (
            f"targets.{name}.drill.promise is not longer than {min(pauses)}, the time that its"
            " schedules may leave between two drills: each would come after it was broken"
        )


def collisions(
    source: SourceSettings | None, targets: Mapping[str, TargetSettings]
) -> Iterable[str]:
    """Yield pairs of clusters that would write into each other."""
    parts: list[tuple[str, SourceSettings | TargetSettings]] = []
    if source is not None:
        parts.append(("source", source))
    for name, target in targets.items():
        where = f"targets.{name}"
        for other, part in parts:
            ours, theirs = target.metadata, part.metadata
            if ours is not None and theirs is not None and ours.overlaps(theirs):
                yield f"{where}.metadata and {other}.metadata are the same tables"
            for key, storage in _storages(part):
                if overlap(target.deep_storage.address, storage.address):
                    yield (
                        f"{where}.deep_storage and {other}.{key} overlap: two clusters must not"
                        " write into one place"
                    )
        parts.append((where, target))


def undecided(
    source: SourceSettings | None, targets: Mapping[str, TargetSettings]
) -> Iterable[tuple[str, S3StorageSettings, S3StorageSettings]]:
    """Yield pairs of buckets that are the same one if the environment names the other's service."""
    parts: list[tuple[str, SourceSettings | TargetSettings]] = []
    if source is not None:
        parts.append(("source", source))
    for name, target in targets.items():
        where, ours = f"targets.{name}", target.deep_storage
        for other, part in parts:
            for key, theirs in _storages(part):
                if (
                    isinstance(ours, S3StorageSettings)
                    and isinstance(theirs, S3StorageSettings)
                    and (ours.endpoint_url is None) != (theirs.endpoint_url is None)
                    and ours.bucket == theirs.bucket
                ):
                    yield f"{where}.deep_storage and {other}.{key}", ours, theirs
        parts.append((where, target))


def locks(source: SourceSettings | None, targets: Mapping[str, TargetSettings]) -> Iterable[str]:
    """Yield object locks that would lock nothing, or for no known time."""
    for key, storage in () if source is None else _storages(source):
        if isinstance(storage, S3StorageSettings) and storage.object_lock is not None:
            yield f"source.{key}.object_lock: nothing is ever stored at the source"
    for name, target in targets.items():
        storage = target.deep_storage
        locks = isinstance(storage, S3StorageSettings) and storage.object_lock is not None
        if locks and target.retention is None:
            yield (
                f"targets.{name}.deep_storage.object_lock locks for as long as"
                f" targets.{name}.retention says: set that, too"
            )


def hasty(name: str, target: TargetSettings) -> Iterable[str]:
    """Yield margins that a single delete request could outlast."""
    storage = target.deep_storage
    if (
        isinstance(storage, RemoteStorage)
        and target.expiry.margin.total_seconds() <= storage.request_timeout_s
    ):
        yield (
            f"targets.{name}.expiry.margin is not longer than"
            f" targets.{name}.deep_storage.request_timeout_s: a request may take so long"
        )


def _storages(
    part: SourceSettings | TargetSettings,
) -> Iterable[tuple[str, DeepStorageSettings]]:
    yield "deep_storage", part.deep_storage
    if isinstance(part, SourceSettings):
        for name, storage in part.other_deep_storages.items():
            yield f"other_deep_storages.{name}", storage


def unschedulable(
    name: str, schedule: ScheduleSettings, targets: Mapping[str, TargetSettings]
) -> Iterable[str]:
    """Yield why a schedule would fail at every run."""
    for target in schedule.targets:
        if target not in targets:
            known = ", ".join(targets) or "none"
            yield f"schedules.{name}.targets: there is no target {target!r}; there are {known}"
    for target in schedule.targets or targets:
        settings = targets.get(target)
        if settings is None:
            continue
        if schedule.type == "expire" and settings.retention is None:
            yield f"schedules.{name} expires, and targets.{target}.retention is not set"
        storage = settings.deep_storage
        locks = isinstance(storage, S3StorageSettings) and storage.object_lock is not None
        if schedule.type == "lock" and not locks:
            yield f"schedules.{name} locks, and targets.{target}.deep_storage has no object_lock"


def unschedulable_all(
    schedules: Mapping[str, ScheduleSettings], targets: Mapping[str, TargetSettings]
) -> Iterable[str]:
    """Yield why schedules would fail at every run."""
    for name, schedule in schedules.items():
        yield from unschedulable(name, schedule, targets)
