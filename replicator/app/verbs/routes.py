"""The configured storages' properties that plans need."""

from collections.abc import Mapping
from hashlib import sha256

from replicator.config import (
    DeepStorageSettings,
    GoogleStorageSettings,
    S3StorageSettings,
    SourceSettings,
)
from replicator.model.plans.cost import CopyRoute


def route(
    source: DeepStorageSettings, target: DeepStorageSettings, *, part_bytes: int
) -> CopyRoute:
    """Return the way from one storage to another."""
    return CopyRoute(
        source=source.type,
        target=target.type,
        same_service=_service(source) is not None and _service(source) == _service(target),
        part_bytes=part_bytes,
    )


def digests(storages: Mapping[str, DeepStorageSettings]) -> dict[str, str]:
    """Return a digest of each storage's settings; there are no secrets in them."""
    return {
        name: sha256(storage.model_dump_json().encode()).hexdigest()[:16]
        for name, storage in storages.items()
    }


def source_storages(source: SourceSettings) -> dict[str, DeepStorageSettings]:
    """Return all storages of a source by names."""
    return {"source": source.deep_storage, **source.other_deep_storages}


def _service(settings: DeepStorageSettings) -> tuple[object, ...] | None:
    """Return what two storages have in common when one service can copy between them."""
    match settings:
        case S3StorageSettings(endpoint_url=url, region=region):
            return "s3", url, region if url else None
        case GoogleStorageSettings(endpoint_url=url):
            return "google", url
        case _:
            return None
