"""Azure Blob storage, through obstore."""

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import AzureStore

from replicator.adapters.bucket.bare_environment import bare_environment
from replicator.adapters.bucket.obstore import RETRIES_MAX, ObstoreBucket, brief, client_options
from replicator.adapters.bucket.reader import ObjectStorageReader
from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.bucket.upload import WriterUpload
from replicator.adapters.transfer.http_proxy import proxy_for
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import ConfigError
from replicator.ports import Effective

if TYPE_CHECKING:
    from obstore.store import AzureConfig


CONFIGURATION = "configuration"
CHAIN = frozenset(
    {
        "AZURE_AUTHORITY_HOST",
        "AZURE_CLIENT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_TENANT_ID",
    }
)
"""Variables in which obstore looks for a login that is not configured: of a service principal, a
workload identity, a key or a SAS. Without any of them it asks the managed identity's endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureAddress:
    """A container's address and login, as configured; only `CHAIN` can add to them."""

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

    @property
    def url(self) -> str:
        """The account's address."""
        return self.endpoint_url or f"https://{self.account}.blob.core.windows.net"

    @property
    def name(self) -> str:
        """Name in messages."""
        return f"azure://{self.account}/{self.container}"

    @property
    def chain(self) -> frozenset[str]:
        """The variables that may provide the login; none if the configuration has one."""
        configured = self.account_key is not None or self.sas is not None or self.use_cli
        return frozenset() if configured else CHAIN

    @property
    def identity(self) -> Effective:
        """The login, as far as it is known without a request to the service."""
        if self.account_key is not None:
            return Effective(name="identity", value="account key", origin=CONFIGURATION)
        if self.sas is not None:
            return Effective(name="identity", value="SAS", origin=CONFIGURATION)
        if self.use_cli:
            return Effective(name="identity", value="Azure CLI", origin=CONFIGURATION)
        if named := sorted(CHAIN & os.environ.keys()):
            return Effective(
                name="identity",
                value=os.environ.get("AZURE_CLIENT_ID", "of the variables"),
                origin=f"environment, {', '.join(named)}",
            )
        return Effective(name="identity", value="managed identity", origin="default")

    async def effective(self) -> tuple[Effective, ...]:
        """Return the settings in force, and where each comes from."""
        origin = "default" if self.endpoint_url is None else CONFIGURATION
        return (
            Effective(name="endpoint", value=self.url, origin=origin),
            self.identity,
            Effective.proxied(proxy_for(self.url)),
        )


def azure_reader(address: AzureAddress, *, pace: Pace, sizes: Sizes) -> ObjectStorageReader:
    """Return a `DeepStorageReader` of a container."""
    bucket = _bucket(address, pace)
    return ObjectStorageReader(
        bucket, address.prefix, piece_bytes=sizes.part_bytes, effective=address.effective
    )


def azure_storage(
    address: AzureAddress, *, pace: Pace, in_flight: InFlight, sizes: Sizes
) -> ObjectStorage:
    """Return a `DeepStorage` in a container.

    Azure removes the blocks of an unfinished upload after a week.
    """
    bucket = _bucket(address, pace)
    return ObjectStorage(
        bucket,
        address.prefix,
        upload=WriterUpload(bucket, in_flight, sizes),
        in_flight=in_flight,
        sizes=sizes,
        effective=address.effective,
    )


def _bucket(address: AzureAddress, pace: Pace) -> ObstoreBucket:
    config: AzureConfig = {
        "account_name": address.account,
        "endpoint": address.url,
        "use_azure_cli": address.use_cli,
    }
    if address.account_key is not None:
        config["account_key"] = address.account_key
    if address.sas is not None:
        config["sas_key"] = address.sas
    options = client_options(
        address.ca_file,
        address.connect_timeout_s,
        address.request_timeout_s,
        proxy_url=proxy_for(address.url),
    )
    try:
        with bare_environment(but=address.chain):
            store = AzureStore(
                address.container,
                config=config,
                client_options=options,
                retry_config={"max_retries": RETRIES_MAX, "retry_timeout": timedelta(seconds=30)},
            )
    except (BaseError, ValueError) as exc:
        raise ConfigError(
            f"{address.name}: {brief(exc)}",
            hint="correct account, endpoint_url, ca_file or credentials of this storage",
        ) from exc
    return ObstoreBucket(store, address.name, pace=pace)
