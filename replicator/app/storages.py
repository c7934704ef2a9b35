"""Deep storages and their layouts, made from settings."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, assert_never

from replicator.adapters.object_upload import Sizes
from replicator.adapters.pacing import InFlight, Pace
from replicator.adapters.s3_session import S3Address
from replicator.adapters.source_storages import SourceStorages
from replicator.adapters.storage_azure import AzureAddress, azure_reader, azure_storage
from replicator.adapters.storage_google import GoogleAddress, google_reader, google_storage
from replicator.adapters.storage_hdfs import HdfsAddress, hdfs_reader, hdfs_storage
from replicator.adapters.storage_local import LocalDeepStorage, LocalDeepStorageReader
from replicator.adapters.storage_object import ObjectStorage, ObjectStorageReader
from replicator.adapters.storage_s3 import S3Reader, S3Storage
from replicator.config import (
    AzureStorageSettings,
    DeepStorageSettings,
    GoogleStorageSettings,
    HdfsStorageSettings,
    LocalStorageSettings,
    S3StorageSettings,
    SourceSettings,
    TransferSettings,
)
from replicator.model.load_spec import (
    AzureLayout,
    GoogleLayout,
    HdfsLayout,
    Layout,
    LocalLayout,
    S3Layout,
    SourceLayout,
)
from replicator.ports import Clock

TargetStorage: TypeAlias = LocalDeepStorage | ObjectStorage
Close: TypeAlias = Callable[[], Awaitable[None]]


class Storages:
    """Makes storages that share their limits; `closes` takes what is to be closed at the end."""

    def __init__(
        self,
        settings: TransferSettings,
        environ: Mapping[str, str],
        clock: Clock,
        closes: Callable[[Close], object],
    ) -> None:
        self._environ, self._clock, self._closes = environ, clock, closes
        self._sizes = Sizes(
            part_bytes=settings.part_bytes, parts_in_flight_max=settings.parts_in_flight_max
        )
        self._in_flight = InFlight(settings.bytes_in_flight_max)
        self._pace = Pace(
            requests_per_s_max=settings.requests_per_s_max,
            bytes_per_s_max=settings.bytes_per_s_max,
        )

    def source(self, settings: SourceSettings) -> SourceStorages:
        """Return all storages of the source as one, read only."""
        others = settings.other_deep_storages.items()
        return SourceStorages(
            self._reader(settings.deep_storage),
            {name: self._reader(storage) for name, storage in others},
        )

    def target(self, settings: DeepStorageSettings) -> TargetStorage:
        """Return a target's storage."""
        storage = self._target(settings)
        self._closes(storage.close)
        return storage

    def _target(self, settings: DeepStorageSettings) -> TargetStorage:
        match settings:
            case LocalStorageSettings():
                return LocalDeepStorage(settings.root)
            case S3StorageSettings():
                return S3Storage(
                    _s3(settings, self._environ),
                    pace=self._paced(settings),
                    in_flight=self._in_flight,
                    sizes=self._sizes,
                    clock=self._clock,
                )
            case GoogleStorageSettings():
                return google_storage(
                    _google(settings),
                    pace=self._paced(settings),
                    in_flight=self._in_flight,
                    sizes=self._sizes,
                )
            case AzureStorageSettings():
                return azure_storage(
                    _azure(settings, self._environ),
                    pace=self._paced(settings),
                    in_flight=self._in_flight,
                    sizes=self._sizes,
                )
            case HdfsStorageSettings():
                return hdfs_storage(
                    _hdfs(settings, self._environ),
                    pace=self._paced(settings),
                    in_flight=self._in_flight,
                    sizes=self._sizes,
                )
            case _:
                assert_never(settings)

    def _reader(
        self, settings: DeepStorageSettings
    ) -> LocalDeepStorageReader | ObjectStorageReader:
        if isinstance(settings, LocalStorageSettings):
            return LocalDeepStorageReader(settings.root)
        reader = self._remote_reader(settings)
        self._closes(reader.close)
        return reader

    def _remote_reader(
        self,
        settings: S3StorageSettings
        | GoogleStorageSettings
        | AzureStorageSettings
        | HdfsStorageSettings,
    ) -> ObjectStorageReader:
        pace, sizes = self._paced(settings), self._sizes
        match settings:
            case S3StorageSettings():
                return S3Reader(_s3(settings, self._environ), pace=pace, sizes=sizes)
            case GoogleStorageSettings():
                return google_reader(_google(settings), pace=pace, sizes=sizes)
            case AzureStorageSettings():
                return azure_reader(_azure(settings, self._environ), pace=pace, sizes=sizes)
            case HdfsStorageSettings():
                return hdfs_reader(_hdfs(settings, self._environ), pace=pace, sizes=sizes)
            case _:
                assert_never(settings)

    def _paced(
        self,
        settings: S3StorageSettings
        | GoogleStorageSettings
        | AzureStorageSettings
        | HdfsStorageSettings,
    ) -> Pace:
        return Pace(
            requests_per_s_max=settings.requests_per_s_max,
            bytes_per_s_max=settings.bytes_per_s_max,
            within=self._pace,
        )


def layout(settings: DeepStorageSettings) -> Layout:
    """Return how a storage writes its load specs."""
    match settings:
        case LocalStorageSettings():
            return LocalLayout(root=str(settings.druid_root))
        case S3StorageSettings():
            return S3Layout(
                bucket=settings.bucket,
                prefix=settings.prefix,
                schema=settings.s3_schema,
                packed=not settings.unpacked,
            )
        case GoogleStorageSettings():
            return GoogleLayout(bucket=settings.bucket, prefix=settings.prefix)
        case AzureStorageSettings():
            return AzureLayout(container=settings.container, prefix=settings.prefix)
        case HdfsStorageSettings():
            return HdfsLayout(filesystem=settings.filesystem, root=str(settings.root))
        case _:
            assert_never(settings)


def source_layout(settings: SourceSettings) -> SourceLayout:
    """Return how all storages of the source write their load specs."""
    others = settings.other_deep_storages.items()
    return SourceLayout(
        main=layout(settings.deep_storage),
        others={name: layout(storage) for name, storage in others},
    )


def _s3(settings: S3StorageSettings, environ: Mapping[str, str]) -> S3Address:
    id_, key, token = settings.secrets(environ)
    return S3Address(
        bucket=settings.bucket,
        prefix=settings.prefix,
        endpoint_url=settings.endpoint_url,
        region=settings.region,
        path_style=settings.path_style,
        profile=settings.profile,
        access_key_id=id_,
        secret_access_key=key,
        session_token=token,
        ca_file=settings.ca_file,
        connect_timeout_s=settings.connect_timeout_s,
        request_timeout_s=settings.request_timeout_s,
    )


def _google(settings: GoogleStorageSettings) -> GoogleAddress:
    return GoogleAddress(
        bucket=settings.bucket,
        prefix=settings.prefix,
        endpoint_url=settings.endpoint_url,
        key_file=settings.key_file,
        anonymous=settings.anonymous,
        ca_file=settings.ca_file,
        connect_timeout_s=settings.connect_timeout_s,
        request_timeout_s=settings.request_timeout_s,
    )


def _azure(settings: AzureStorageSettings, environ: Mapping[str, str]) -> AzureAddress:
    key, sas = settings.secrets(environ)
    return AzureAddress(
        account=settings.account,
        container=settings.container,
        prefix=settings.prefix,
        endpoint_url=settings.endpoint_url,
        account_key=key,
        sas=sas,
        use_cli=settings.use_cli,
        ca_file=settings.ca_file,
        connect_timeout_s=settings.connect_timeout_s,
        request_timeout_s=settings.request_timeout_s,
    )


def _hdfs(settings: HdfsStorageSettings, environ: Mapping[str, str]) -> HdfsAddress:
    return HdfsAddress(
        urls=settings.urls,
        root=str(settings.root),
        user=settings.user,
        delegation_token=settings.secret(environ),
        ca_file=settings.ca_file,
        connect_timeout_s=settings.connect_timeout_s,
        request_timeout_s=settings.request_timeout_s,
    )
