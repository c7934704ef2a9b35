"""Azure Blob storage, through obstore."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.store import AzureStore

from replicator.adapters.bucket_obstore import RETRIES_MAX, ObstoreBucket, client_options
from replicator.adapters.object_reader import ObjectStorageReader
from replicator.adapters.object_upload import Sizes, WriterUpload
from replicator.adapters.pacing import InFlight, Pace
from replicator.adapters.storage_object import ObjectStorage
from replicator.errors import ConfigError

if TYPE_CHECKING:
    from obstore.store import AzureConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureAddress:
    """Where a container is and who asks.

    Without a key and a SAS, obstore finds credentials: the environment (AZURE_CLIENT_ID and so
    on), workload identity, managed identity, and the Azure CLI when it is told to.
    """

    account: str
    container: str
    prefix: str
    endpoint_url: str | None = None
    account_key: str | None = None
    sas: str | None = None
    use_cli: bool = False
    ca_file: Path | None = None
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 300.0


def azure_reader(address: AzureAddress, *, pace: Pace, sizes: Sizes) -> ObjectStorageReader:
    """Return a `DeepStorageReader` of a container."""
    bucket = _bucket(address, pace)
    return ObjectStorageReader(bucket, address.prefix, piece_bytes=sizes.part_bytes)


def azure_storage(
    address: AzureAddress, *, pace: Pace, in_flight: InFlight, sizes: Sizes
) -> ObjectStorage:
    """Return a `DeepStorage` in a container.

    Blocks of an upload that nobody completed are removed by Azure after a week.
    """
    bucket = _bucket(address, pace)
    return ObjectStorage(
        bucket,
        address.prefix,
        upload=WriterUpload(bucket, in_flight, sizes),
        in_flight=in_flight,
        sizes=sizes,
    )


def _bucket(address: AzureAddress, pace: Pace) -> ObstoreBucket:
    config: AzureConfig = {"account_name": address.account, "use_azure_cli": address.use_cli}
    if address.endpoint_url is not None:
        config["endpoint"] = address.endpoint_url
    if address.account_key is not None:
        config["account_key"] = address.account_key
    if address.sas is not None:
        config["sas_key"] = address.sas
    name = f"azure://{address.account}/{address.container}"
    try:
        store = AzureStore(
            address.container,
            config=config,
            client_options=client_options(
                address.ca_file, address.connect_timeout_s, address.request_timeout_s
            ),
            retry_config={"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=30)},
        )
    except ValueError as exc:
        raise ConfigError(f"{name}: {exc}") from exc
    return ObstoreBucket(store, name, pace=pace)
