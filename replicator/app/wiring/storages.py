"""Deep storages and their layouts, made from settings."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, assert_never

from replicator.adapters.local.reader import LocalDeepStorageReader
from replicator.adapters.local.storage import LocalDeepStorage
from replicator.adapters.machine.threads import Threads
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.adapters.transfer.source_storages import SourceStorages
from replicator.config import (
    AzureStorageSettings,
    DeepStorageSettings,
    GoogleStorageSettings,
    HdfsStorageSettings,
    LocalStorageSettings,
    RemoteStorage,
    S3StorageSettings,
    Settings,
    SourceSettings,
    TransferSettings,
    overlap,
    undecided,
)
from replicator.errors import ConfigError, TransientError
from replicator.model.load_spec import (
    AzureLayout,
    GoogleLayout,
    HdfsLayout,
    Layout,
    LocalLayout,
    S3Layout,
    SourceLayout,
)
from replicator.ports import Clock, DeepStorageReader

if TYPE_CHECKING:
    from replicator.adapters.azure import AzureAddress
    from replicator.adapters.bucket.reader import ObjectStorageReader
    from replicator.adapters.bucket.storage import ObjectStorage
    from replicator.adapters.google.storage import GoogleAddress
    from replicator.adapters.hdfs import HdfsAddress
    from replicator.adapters.s3.lock import S3Lock
    from replicator.adapters.s3.service import S3Address, S3Writing
    from replicator.model.observation import Observer

RealStorage: TypeAlias = "LocalDeepStorage | ObjectStorage"
Close: TypeAlias = Callable[[], Awaitable[None]]
HANGS: Final = (
    "look for the mount or the disk that hangs; if it is only slow, raise `answer_timeout_s` of"
    " that `deep_storage`"
)


@dataclass(frozen=True, slots=True)
class Shared:
    """The tools shared by all storages of one process."""

    environ: Mapping[str, str]
    clock: Clock
    sizes: Sizes
    in_flight_bytes_max: int
    pause_s_max: float
    pace: Pace

    def in_flight(self) -> InFlight:
        """Return a target's own share of memory: one that is slow must not hold up the others."""
        return InFlight(self.in_flight_bytes_max)

    def paced(self, settings: RemoteStorage) -> Pace:
        """Return a storage's own pace, within the pace shared by all."""
        return Pace(
            requests_per_s_max=settings.requests_per_s_max,
            bytes_per_s_max=settings.bytes_per_s_max,
            pause_s_max=self.pause_s_max,
            within=self.pace,
        )


class Storages:
    """Makes storages that share their limits; `closes` takes what is to be closed at the end."""

    def __init__(
        self,
        settings: TransferSettings,
        environ: Mapping[str, str],
        clock: Clock,
        closes: Callable[[Close], object],
    ) -> None:
        self._closes = closes
        self._unusable: list[tuple[DeepStorageReader, ConfigError]] = []
        self._shared = Shared(
            environ=environ,
            clock=clock,
            sizes=Sizes(
                part_bytes=settings.part_bytes, parts_in_flight_max=settings.parts_in_flight_max
            ),
            in_flight_bytes_max=settings.bytes_in_flight_max,
            pause_s_max=settings.pause_s_max,
            pace=Pace(
                requests_per_s_max=settings.requests_per_s_max,
                bytes_per_s_max=settings.bytes_per_s_max,
            ),
        )

    def source(self, settings: SourceSettings) -> SourceStorages:
        """Return all storages of the source as one, read only."""
        others = settings.other_deep_storages.items()
        return SourceStorages(
            self._reader(settings.deep_storage),
            {name: self._reader(storage) for name, storage in others},
        )

    def target(
        self,
        settings: DeepStorageSettings,
        retention: timedelta | None,
        observer: "Observer" = lambda _: None,
    ) -> "RealStorage":
        """Return a target's storage, which locks what it stores where that is set.

        Wrong settings, such as a secret that is not set, make a storage whose calls raise them.
        `observer` receives calls that write and do not return.
        """
        try:
            if isinstance(settings, LocalStorageSettings):
                storage: RealStorage = _local(settings, observer)
            else:
                storage = _target(settings, retention, self._shared)
        except ConfigError as exc:
            return self.out_of_reach(exc)
        self._closes(storage.close)
        return storage

    def out_of_reach(self, failure: ConfigError) -> "ObjectStorage":
        """Return a storage whose calls all raise `failure`: it is the trouble of one target."""
        from replicator.adapters.bucket.out_of_reach import (  # noqa: PLC0415 - see below
            BucketOutOfReach,
        )
        from replicator.adapters.bucket.storage import ObjectStorage  # noqa: PLC0415 - see below
        from replicator.adapters.bucket.upload import WriterUpload  # noqa: PLC0415 - see below

        bucket, in_flight = BucketOutOfReach(failure), self._shared.in_flight()
        sizes = self._shared.sizes
        storage = ObjectStorage(
            bucket,
            "",
            upload=WriterUpload(bucket, in_flight, sizes),
            in_flight=in_flight,
            sizes=sizes,
            effective=bucket.effective,
        )
        self._unusable.append((storage, failure))
        return storage

    def refuse_unusable(self, wanted: Sequence[DeepStorageReader]) -> None:
        """Refuse storages whose settings are wrong by themselves; no server is asked.

        Raises:
            ConfigError: one of them is out of reach.
        """
        for storage, failure in self._unusable:
            if any(storage is one for one in wanted):
                raise failure

    def _reader(
        self, settings: DeepStorageSettings
    ) -> "LocalDeepStorageReader | ObjectStorageReader":
        if isinstance(settings, LocalStorageSettings):
            return LocalDeepStorageReader(settings.root, threads=threads_of(settings))
        try:
            reader = _remote_reader(settings, self._shared)
        except ConfigError as exc:
            return self.out_of_reach(exc)
        self._closes(reader.close)
        return reader


# The clouds' libraries take a second to import: only those that are used are.


def _local(settings: LocalStorageSettings, observer: "Observer") -> LocalDeepStorage:
    def tell(hangs: TransientError) -> None:
        from replicator.model.observed.faults import Waiting  # noqa: PLC0415 - see below

        observer(Waiting(what="write", reason=str(hangs), delay_s=settings.answer_timeout_s))

    return LocalDeepStorage(settings.root, threads=threads_of(settings, tell))


def threads_of(
    settings: LocalStorageSettings, tell: Callable[[TransientError], None] = lambda _: None
) -> Threads:
    """Return threads for the calls of one folder alone."""
    return Threads(
        f"the folder {settings.root}",
        threads_max=settings.threads_max,
        answer_timeout_s=settings.answer_timeout_s,
        tell=tell,
        hint=HANGS,
    )


def _target(settings: RemoteStorage, retention: timedelta | None, shared: Shared) -> "RealStorage":
    match settings:
        case S3StorageSettings():
            from replicator.adapters.s3.storage import S3Storage  # noqa: PLC0415 - see above

            return S3Storage(
                _s3_login(settings, shared.environ),
                pace=shared.paced(settings),
                in_flight=shared.in_flight(),
                sizes=shared.sizes,
                clock=shared.clock,
                lock=_lock(settings, retention, shared.clock),
            )
        case GoogleStorageSettings():
            from replicator.adapters.google.storage import (  # noqa: PLC0415 - see above
                google_storage,
            )

            return google_storage(
                _google(settings),
                pace=shared.paced(settings),
                in_flight=shared.in_flight(),
                sizes=shared.sizes,
            )
        case AzureStorageSettings():
            from replicator.adapters.azure import (  # noqa: PLC0415 - see above
                azure_storage,
            )

            return azure_storage(
                _azure(settings, shared.environ),
                pace=shared.paced(settings),
                in_flight=shared.in_flight(),
                sizes=shared.sizes,
            )
        case HdfsStorageSettings():
            from replicator.adapters.hdfs import hdfs_storage  # noqa: PLC0415 - see above

            return hdfs_storage(
                _hdfs(settings, shared.environ),
                pace=shared.paced(settings),
                in_flight=shared.in_flight(),
                sizes=shared.sizes,
                clock=shared.clock,
            )
        case _:
            assert_never(settings)


def _remote_reader(settings: RemoteStorage, shared: Shared) -> "ObjectStorageReader":
    pace, sizes = shared.paced(settings), shared.sizes
    match settings:
        case S3StorageSettings():
            from replicator.adapters.s3.storage import S3Reader  # noqa: PLC0415 - see above

            return S3Reader(_s3_login(settings, shared.environ), pace=pace, sizes=sizes)
        case GoogleStorageSettings():
            from replicator.adapters.google.storage import (  # noqa: PLC0415 - see above
                google_reader,
            )

            return google_reader(_google(settings), pace=pace, sizes=sizes)
        case AzureStorageSettings():
            from replicator.adapters.azure import (  # noqa: PLC0415 - see above
                azure_reader,
            )

            return azure_reader(_azure(settings, shared.environ), pace=pace, sizes=sizes)
        case HdfsStorageSettings():
            from replicator.adapters.hdfs import hdfs_reader  # noqa: PLC0415 - see above

            return hdfs_reader(
                _hdfs(settings, shared.environ), pace=pace, sizes=sizes, clock=shared.clock
            )
        case _:
            assert_never(settings)


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
            return GoogleLayout(
                bucket=settings.bucket, prefix=settings.prefix, packed=not settings.unpacked
            )
        case AzureStorageSettings():
            return AzureLayout(
                container=settings.container, prefix=settings.prefix, packed=not settings.unpacked
            )
        case HdfsStorageSettings():
            return HdfsLayout(
                filesystem=settings.filesystem, root=str(settings.root), lz4=settings.lz4
            )
        case _:
            assert_never(settings)


def source_layout(settings: SourceSettings) -> SourceLayout:
    """Return how all storages of the source write their load specs."""
    others = settings.other_deep_storages.items()
    return SourceLayout(
        main=layout(settings.deep_storage),
        others={name: layout(storage) for name, storage in others},
    )


def require_apart(settings: Settings) -> None:
    """Compare buckets by the services that the environment or a profile names for them.

    No secret is read: one that is not set is the trouble of its own storage.

    Raises:
        ConfigError: two clusters would write into one place.
    """
    for pair, ours, theirs in undecided(settings.source, settings.targets):
        from replicator.adapters.s3.service import s3_endpoint  # noqa: PLC0415 - see above

        one, other = (
            storage.model_copy(update={"endpoint_url": s3_endpoint(_s3(storage))})
            for storage in (ours, theirs)
        )
        if overlap(one.address, other.address):
            raise ConfigError(
                f"{pair} overlap: two clusters must not write into one place, and both are at"
                f" {one.endpoint_url}, which the environment or the profile says for one of them",
                hint="set endpoint_url for both",
            )


def _s3_login(settings: S3StorageSettings, environ: Mapping[str, str]) -> "S3Address":
    id_, key, token = settings.secrets(environ)
    return replace(_s3(settings), access_key_id=id_, secret_access_key=key, session_token=token)


def _s3(settings: S3StorageSettings) -> "S3Address":
    """Return where a bucket is, without the secrets that open it."""
    from replicator.adapters.s3.service import S3Address  # noqa: PLC0415 - see above

    return S3Address(
        bucket=settings.bucket,
        prefix=settings.prefix,
        endpoint_url=settings.endpoint_url,
        region=settings.region,
        path_style=settings.path_style,
        profile=settings.profile,
        writing=_writing(settings),
        ca_file=settings.ca_file,
        connect_timeout_s=settings.connect_timeout_s,
        request_timeout_s=settings.request_timeout_s,
    )


def _writing(settings: S3StorageSettings) -> "S3Writing":
    from replicator.adapters.s3.service import S3Writing  # noqa: PLC0415 - see above

    found = S3Writing(storage_class=settings.storage_class)
    if (encryption := settings.encryption) is None:
        return found
    return replace(
        found,
        encryption=encryption.algorithm,
        kms_key_id=encryption.kms_key_id,
        bucket_key=encryption.bucket_key,
    )


def _lock(
    settings: S3StorageSettings, retention: timedelta | None, clock: Clock
) -> "S3Lock | None":
    from replicator.adapters.s3.lock import S3Lock  # noqa: PLC0415 - see above

    if settings.object_lock is None or retention is None:
        return None
    return S3Lock(mode=settings.object_lock.mode, retention=retention, clock=clock)


def _google(settings: GoogleStorageSettings) -> "GoogleAddress":
    from replicator.adapters.google.storage import GoogleAddress  # noqa: PLC0415 - see above

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


def _azure(settings: AzureStorageSettings, environ: Mapping[str, str]) -> "AzureAddress":
    from replicator.adapters.azure import AzureAddress  # noqa: PLC0415 - see above

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


def _hdfs(settings: HdfsStorageSettings, environ: Mapping[str, str]) -> "HdfsAddress":
    from replicator.adapters.hdfs import HdfsAddress  # noqa: PLC0415 - see above

    return HdfsAddress(
        urls=settings.urls,
        root=str(settings.root),
        user=settings.user,
        delegation_token=settings.secret(environ),
        ca_file=settings.ca_file,
        connect_timeout_s=settings.connect_timeout_s,
        request_timeout_s=settings.request_timeout_s,
    )
