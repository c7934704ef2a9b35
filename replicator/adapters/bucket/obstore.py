"""One bucket of S3 or container of Azure Blob through obstore.

obstore is the Rust crate object_store with a Python face: bytes do not pass the interpreter, which
halves the CPU that a copy takes (bench/copies.py; docs/decisions/0008-object-stores.md).
"""

import re
from collections.abc import AsyncIterator, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    JoinError,
    NotFoundError,
    NotModifiedError,
    NotSupportedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
    UnknownConfigurationKeyError,
)
from obstore.store import AzureStore, S3Store

from replicator.adapters.boundary import ErrorMap
from replicator.adapters.bucket.bucket import (
    ARCHIVED_HINT,
    PAGE_OBJECTS_MAX,
    Begun,
    DeniedKeyError,
    Listed,
    RejectedKeyError,
    Stat,
)
from replicator.adapters.tls import distrust_hint
from replicator.adapters.transfer.answers import answered
from replicator.adapters.transfer.http_proxy import excluded
from replicator.adapters.transfer.http_session import CERTIFICATE_HINT
from replicator.adapters.transfer.pacing import Pace
from replicator.errors import (
    ArchivedObjectError,
    ConfigError,
    MissingObjectError,
    ReplicatorError,
    RewrittenObjectError,
    TransientError,
    UnreadableObjectError,
)
from replicator.ports import Piece

if TYPE_CHECKING:
    from obstore import AsyncWritableFile
    from obstore.store import ClientConfig

RETRIES_MAX = 2
"""Number of retries of a single request; all others are the caller's policy, which reports them."""
Store: TypeAlias = S3Store | AzureStore
GONE = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
"""Error codes of servers for a missing bucket, as opposed to a missing object."""
SKEWED = ("RequestTimeTooSkewed", "RequestExpired")
ENDED = ("ExpiredToken", "InvalidToken")
"""Error codes of S3 for temporary keys that have expired."""
ARCHIVED = ("InvalidObjectState", "BlobArchived", "BlobBeingRehydrated")
"""Error codes of S3 and Azure for an object in an archive tier."""
REJECTED = "status code: 400"
"""Also of an object that is encrypted by a key of its writer, or by one that is disabled."""
DENIED = ("status code: 401", "status code: 403")
"""Texts of the library for a denied listing, which has no exception of its own."""
UNKNOWN = "status code: 501"
UNKNOWN_HINT = (
    "this server does not support the request (for example If-None-Match, or checksums): use one"
    " that knows conditional writes"
)
BUSY = ("status code: 429", "status code: 503")
"""Texts for a busy server; the library does not expose its Retry-After."""
ANSWERED = "status code: "
ANSWERED_HINT = "the server answered so: its log says more"
CERTIFICATE = "its certificate is not trusted"
UNSAYABLE = re.compile(r"[\x00-\x1f\x7f]|(?:\A|/)\.{0,2}(?:/|\Z)")
"""A control character or a name that is empty, `.` or `..`: asked of each key, so one search."""
UNSAID = "error sending request"
UNCONNECTED = re.compile(
    r'InvalidCertificate\(\s*(?P<certificate>\w+)|(?:message|error): "(?P<words>[^"]+)"'
)
"""Parts of Rust's debug form that stand for an error of TLS, the system or a name lookup."""
ANSWER = re.compile(r"status code: (?P<status>\d{3})[^:\n]*:?(?P<body>.*)", re.DOTALL)
ASKING = re.compile(r"^.*Error performing \w+ (\w+://[^/\s]+)\S* in .*? - ", re.DOTALL)
"""What stands before a reason that no server gave; its group is what names the server."""
NO_PATH = ("contained empty path segment", "Error parsing Path")
"""Texts of the library for a listed key that is not a valid path."""


def _unknown(message: str) -> ConfigError:
    return ConfigError(message, hint=UNKNOWN_HINT)


def _unsayable(message: str) -> ConfigError:
    return ConfigError(
        message, hint="the library for this storage cannot say such a key: rename object or prefix"
    )


def _meanwhile(message: str) -> TransientError:
    return TransientError(
        message, hint="another process writes or removes there at the same time: run it again"
    )


def _misconfigured(message: str) -> ConfigError:
    return ConfigError(message, hint="correct the settings of this storage")


def _failed_inside(message: str) -> TransientError:
    return TransientError(message, hint="the library's own task failed: run it again")


ERRORS: ErrorMap = {
    NotSupportedError: _unknown,
    NotImplementedError: _unknown,
    InvalidPathError: _unsayable,
    UnknownConfigurationKeyError: _misconfigured,
    AlreadyExistsError: _meanwhile,
    PreconditionError: _meanwhile,
    NotModifiedError: _meanwhile,
    NotFoundError: _meanwhile,
    FileNotFoundError: _meanwhile,
    JoinError: _failed_inside,
}
"""Classes of the library that mean one fault each; the others are told apart by their texts."""


class UnsayableKeyError(ConfigError):
    """obstore cannot ask for an object with this key."""


def is_sayable(key: str) -> bool:
    """Return whether obstore asks for this key and not for another, or for none."""
    return UNSAYABLE.search(key) is None


class ObstoreBucket:
    """Asks one bucket at its pace, and translates the library's errors.

    Args:
        store: obstore's store, with credentials, time limits and few retries of its own.
        name: Name in messages, such as `s3://bucket`.
        pace: Limits the requests and bytes.
        attributes: Attributes of each stored object.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        pace: Pace,
        attributes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self._attributes = dict(attributes)
        self.keeps_metadata = True
        self._store = store
        self._pace = pace

    async def stat(self, key: str) -> Stat | None:
        """Return an object's size, tag and metadata, None when there is none: one HEAD.

        Raises:
            UnreadableObjectError: the library cannot say its key.
        """
        self._require_sayable(key)
        await self._pace.request()
        with self._translated(f"cannot look at {key}"):
            try:
                found = await obstore.get_async(self._store, key, options={"head": True})
            except FileNotFoundError as exc:
                self._require_bucket(exc)
                return None
            return _stat(key, found)

    async def begin(self, key: str) -> Begun | None:
        """Return an object with its bytes on their way: one GET."""
        self._require_sayable(key)
        await self._pace.request()
        with self._translated(f"cannot read {key}"):
            try:
                found = await obstore.get_async(self._store, key)
            except FileNotFoundError as exc:
                self._require_bucket(exc)
                return None

        async def rest() -> Piece:
            with self._translated(f"cannot read {key}"):
                data = memoryview(await found.bytes_async())
            await self._pace.transfer(len(data))
            return data

        return Begun(_stat(key, found), rest)

    async def pages(
        self, prefix: str, *, page_objects_max: int = PAGE_OBJECTS_MAX
    ) -> AsyncIterator[Sequence[Listed]]:
        """Yield the objects below a folder; a request gives a thousand (Azure: five thousand).

        Raises:
            UnsayableKeyError: there is one whose key is no path.
        """
        if prefix:
            self._require_sayable(prefix.rstrip("/"))
        stream = aiter(
            obstore.list(self._store, prefix=prefix or None, chunk_size=page_objects_max)
        )
        while True:
            await self._pace.request()
            with self._translated(f"cannot list {prefix or 'it'}"), _refused_keys_named(self.name):
                page = await anext(stream, None)
            if page is None:
                return
            yield [_listed(meta) for meta in page]

    async def read(
        self, key: str, *, tag: str, start: int, end: int, piece_bytes: int
    ) -> AsyncIterator[Piece]:
        """Yield a range of an object that still has this tag: one GET.

        Raises:
            MissingObjectError: it is gone.
            RewrittenObjectError: it was written again since it was listed.
        """
        if start >= end:
            return
        doing = f"cannot read {key}"
        found = await self._got(key, tag, start, end)
        if end - start <= piece_bytes:
            with self._translated(doing):
                whole = memoryview(await found.bytes_async())
            await self._pace.transfer(len(whole))
            yield whole
            return
        stream = aiter(found.stream(min_chunk_size=piece_bytes))
        while True:
            with self._translated(doing):
                piece = await anext(stream, None)
            if piece is None:
                return
            await self._pace.transfer(len(piece))
            yield memoryview(piece)

    async def _got(self, key: str, tag: str, start: int, end: int) -> "obstore.GetResult":
        options: obstore.GetOptions = {"range": (start, end)}
        if tag:
            options["if_match"] = f'"{tag}"'
        await self._pace.request()
        with self._translated(f"cannot read {key}"):
            try:
                return await obstore.get_async(self._store, key, options=options)
            except FileNotFoundError as exc:
                self._require_bucket(exc)
                raise MissingObjectError(f"{key} is not in {self.name}") from exc
            except PreconditionError as exc:
                if await self.stat(key) is None:  # Azure also says so of an object that is gone
                    raise MissingObjectError(f"{key} is not in {self.name}") from exc
                raise RewrittenObjectError(
                    f"{key} of {self.name} was written while it was read",
                    hint="it is listed and read again",
                ) from exc

    async def create(
        self,
        key: str,
        data: Piece,
        metadata: Mapping[str, str] | None = None,
        *,
        retained: bool = True,
    ) -> bool:
        """Store an object; return False, and change nothing, when there is one: one PUT."""
        del retained
        await self._pace.request()
        await self._pace.transfer(len(data))
        with self._translated(f"cannot write {key}"):
            try:
                await obstore.put_async(
                    self._store,
                    key,
                    data,
                    mode="create",
                    attributes={**self._attributes, **(metadata or {})},
                    use_multipart=False,
                )
            except AlreadyExistsError:
                return False
            except FileNotFoundError as exc:
                self._require_bucket(exc)
                raise
        return True

    async def replace(self, key: str, data: Piece, *, retained: bool = False) -> None:
        """Store an object of our own, whatever was there."""
        del retained
        await self._pace.request()
        with self._translated(f"cannot write {key}"):
            await obstore.put_async(
                self._store, key, data, attributes=self._attributes, use_multipart=False
            )

    async def writer(self, key: str, *, part_bytes: int) -> "ObstoreWriter":
        """Return what writes a large object part by part."""
        file = obstore.open_writer_async(
            self._store,
            key,
            attributes=self._attributes,
            buffer_size=part_bytes,
            # One part after the other: the pace and the memory of all copies are counted by this
            # program.
            max_concurrency=1,
        )
        return ObstoreWriter(self, file, key, pace=self._pace)

    async def delete(self, key: str) -> None:
        """Remove an object; it may be gone."""
        await self.clear(key)

    async def clear(self, key: str) -> None:
        """Leave no object at a key; older versions stay."""
        await self._pace.request()
        with self._translated(f"cannot remove {key}"), suppress(FileNotFoundError):
            await obstore.delete_async(self._store, key)

    async def extend(self, key: str, until: datetime) -> bool:
        """Do nothing: obstore does not support locks."""
        del key, until
        return True

    def _require_sayable(self, key: str) -> None:
        if not is_sayable(key):
            raise UnreadableObjectError(
                f"{key!r} of {self.name} begins with a slash or has an empty name, and the library"
                " for it cannot ask for such a key",
                hint="copy it to a key without, and let its load spec say so",
            )

    def _require_bucket(self, exc: FileNotFoundError) -> None:
        if any(words in str(exc) for words in GONE):
            raise TransientError(
                f"{self.name} does not exist", hint="make it, or correct its name"
            ) from exc

    @contextmanager
    def _translated(self, doing: str) -> Generator[None]:
        try:
            yield
        except (PermissionDeniedError, UnauthenticatedError) as exc:
            _require_unarchived(exc, f"{self.name}: {doing}")
            raise DeniedKeyError(
                f"{self.name}: {doing}: access denied: {brief(exc)}",
                hint=_denied(self.name, str(exc)),
            ) from exc
        except (BaseError, OSError, ValueError, NotImplementedError) as exc:
            if any(words in str(exc) for words in GONE):
                raise TransientError(
                    f"{self.name} does not exist", hint="make it, or correct its name"
                ) from exc
            _require_unarchived(exc, f"{self.name}: {doing}")
            _require_known(exc, f"{self.name}: {doing}")
            # S3 answers 400 for a key that has ended, too: that is no trouble of one object.
            if REJECTED in str(exc) and not any(words in str(exc) for words in (*SKEWED, *ENDED)):
                raise RejectedKeyError(
                    f"{self.name}: {doing}: {brief(exc)}", hint=ANSWERED_HINT
                ) from exc
            if any(words in str(exc) for words in BUSY):
                self._pace.refused()
            if any(words in str(exc) for words in (*SKEWED, *ENDED, *DENIED)):
                raise ConfigError(
                    f"{self.name}: {doing}: {brief(exc)}", hint=_denied(self.name, str(exc))
                ) from exc
            raise _meant(exc, f"{self.name}: {doing}: {brief(exc)}") from exc


def _meant(exc: Exception, message: str) -> ReplicatorError:
    """Return the error for what the library does not classify, by whether a server answered."""
    for kind, ours in ERRORS.items():
        if isinstance(exc, kind):
            return ours(message)
    if CERTIFICATE in message:
        return ConfigError(message, hint=distrust_hint(message, CERTIFICATE_HINT))
    if ANSWERED in str(exc):
        return TransientError(message, hint=ANSWERED_HINT)
    return TransientError(message)


def _require_known(exc: Exception, doing: str) -> None:
    if UNKNOWN in str(exc):
        raise ConfigError(f"{doing}: {brief(exc)}", hint=UNKNOWN_HINT) from exc


def _require_unarchived(exc: Exception, doing: str) -> None:
    if any(words in str(exc) for words in ARCHIVED):
        raise ArchivedObjectError(f"{doing}: {brief(exc)}", hint=ARCHIVED_HINT) from exc


@contextmanager
def _refused_keys_named(name: str) -> Generator[None]:
    try:
        yield
    except (BaseError, ValueError) as exc:
        if any(words in str(exc) for words in NO_PATH):
            raise UnsayableKeyError(
                f"{name} cannot be listed because of a key in it: {brief(exc)}",
                hint="remove or rename the object named above: its key begins with a slash or has"
                " an empty name, which the library for this storage cannot list",
            ) from exc
        raise


class ObstoreWriter:
    """Writes one object in parts, in order; it is there once `complete` has returned."""

    def __init__(
        self, bucket: ObstoreBucket, file: "AsyncWritableFile", key: str, *, pace: Pace
    ) -> None:
        self._bucket, self._file, self._key, self._pace = bucket, file, key, pace

    async def write(self, data: Piece) -> None:
        """Add bytes at the end."""
        await self._pace.request()
        await self._pace.transfer(len(data))
        with self._bucket._translated(f"cannot write {self._key}"):
            await self._file.write(data)

    async def abort(self) -> None:
        """Do nothing: Azure drops blocks after a week, and S3's parts are not sent through this."""

    async def complete(self) -> None:
        """Make it visible."""
        with self._bucket._translated(f"cannot write {self._key}"):
            await self._file.close()


def client_options(
    ca_file: Path | None,
    connect_timeout_s: float,
    request_timeout_s: float,
    *,
    proxy_url: str | None,
) -> "ClientConfig":
    """Return obstore's options of a connection."""
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=connect_timeout_s),
        "timeout": timedelta(seconds=request_timeout_s),
        "read_timeout": timedelta(seconds=request_timeout_s / 2),
    }
    if ca_file is not None:
        options["root_certificate"] = _text_of(ca_file)
    if proxy_url is not None:
        options["proxy_url"] = proxy_url
        options["proxy_excludes"] = excluded()  # the library requests logins with the same settings
    return options


def _text_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ConfigError(
            f"{path} cannot be read: {exc.strerror}", hint="correct ca_file of the storage"
        ) from exc


def _stat(key: str, found: "obstore.GetResult") -> Stat:
    return Stat(
        key=key,
        size_bytes=found.meta["size"],
        tag=_tag(found.meta),
        stored_at=found.meta["last_modified"],
        metadata={str(k).lower(): v for k, v in found.attributes.items()},
    )


def _listed(meta: "obstore.ObjectMeta") -> Listed:
    return Listed(
        key=meta["path"],
        size_bytes=meta["size"],
        tag=_tag(meta),
        stored_at=meta["last_modified"],
    )


def _tag(meta: "obstore.ObjectMeta") -> str:
    """Return the ETag without quotes: Azure lists it without, and answers a HEAD with them."""
    return (meta["e_tag"] or "").strip('"')


def brief(exc: BaseException) -> str:
    """Return what the server answered, or why it was not connected.

    A debug dump follows; only that says that no server answered, and why. What the library did
    before it stands in our own message.
    """
    text, _, dump = str(exc).partition("\n\nDebug source")
    if (answer := ANSWER.search(text)) is not None:
        return answered(int(answer["status"]), answer["body"])
    message = " ".join(ASKING.sub(r"\1: ", text).split())[:500]
    why = UNCONNECTED.search(dump) if message.endswith(UNSAID) else None
    if why is None:
        return message
    reason = why["words"] or f"{CERTIFICATE}, {why['certificate']}"
    return f"{message}: {reason}"


def _denied(name: str, text: str) -> str:
    if any(words in text for words in SKEWED):
        return "set this machine's clock (NTP): the server refuses requests that are minutes off"
    if any(words in text for words in ENDED):
        return "the session token has ended or is another login's: give new keys with their token"
    hint = "check the credentials and what they may do there (docs/storages.md#permissions)"
    if name.startswith("s3:"):
        hint += "; without s3:ListBucket S3 denies also what is merely not there"
    return hint
