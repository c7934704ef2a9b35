"""HDFS through WebHDFS: files below a folder, each written aside and renamed into place.

https://hadoop.apache.org/docs/stable/hadoop-project-dist/hadoop-hdfs/WebHDFS.html
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar
from urllib.parse import quote, urlsplit
from uuid import uuid4

from aiohttp import ClientResponse
from pydantic import AfterValidator, Field

from replicator.adapters.bucket.bucket import (
    PAGE_OBJECTS_MAX,
    Begun,
    DeniedKeyError,
    Listed,
    RejectedKeyError,
    Stat,
)
from replicator.adapters.bucket.reader import ObjectStorageReader
from replicator.adapters.bucket.storage import ObjectStorage
from replicator.adapters.bucket.upload import WriterUpload
from replicator.adapters.transfer.answers import AnswerShape, answered
from replicator.adapters.transfer.http_proxy import proxy_for
from replicator.adapters.transfer.http_session import (
    BUSY,
    HttpSession,
    complaint,
    in_pieces,
    reached,
    refuse_redirect,
    retry_after_s,
    whole,
)
from replicator.adapters.transfer.pacing import InFlight, Pace
from replicator.adapters.transfer.sizes import Sizes
from replicator.errors import (
    ConfigError,
    MissingObjectError,
    RefusedError,
    RewrittenObjectError,
    TransientError,
    UnreadableObjectError,
)
from replicator.model.document import INT_MAX, Natural
from replicator.model.timestamps import at_seconds
from replicator.ports import OWN_AREA, Clock, Effective, Piece

_T = TypeVar("_T")
DENIED = frozenset({"AccessControlException", "SecurityException", "InvalidToken"})
PASSED_OVER = (b"StandbyException", b"RetriableException", b"SafeModeException")
"""Exceptions of a name node that stands by, starts or is in safe mode; another may be active."""
AWAY = frozenset({502, 503, 504})
"""Answers of a proxy whose name node is gone or cannot answer now."""
ENCRYPTED = "AuthorizationException"
"""Exception for an encryption zone whose key this user may not use."""
UNFINISHED = f"{OWN_AREA}/unfinished"
ABANDONED_AFTER = timedelta(days=2)
"""Age above which an unfinished file counts as abandoned; one object is copied within minutes."""
OPERATIONS = "/webhdfs/v1/"
"""Start of the path of each request, to name nodes and to data nodes."""
NOT_EMPTY = "PathIsNotEmptyDirectoryException"
DEPTH_MAX = 32
"""Depth to which folders are listed; Druid makes about six levels."""


def _last_name(text: str) -> str:
    if "/" in text or text in {".", ".."}:
        raise ValueError("it is no name of a file")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileStatus:
    type: Literal["FILE", "DIRECTORY", "SYMLINK"]
    length: Natural
    modificationTime: Annotated[int, Field(ge=-INT_MAX, le=INT_MAX)]  # noqa: N815 - as WebHDFS names it
    pathSuffix: Annotated[str, AfterValidator(_last_name)] = ""  # noqa: N815
    """Name in the listed folder; '' for the listed path itself."""

    @property
    def tag(self) -> str:
        return f"{self.modificationTime}-{self.length}"

    @property
    def stored_at(self) -> datetime:
        return at_seconds(self.modificationTime / 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statuses:
    FileStatus: Sequence[_FileStatus]


@dataclass(frozen=True, slots=True, kw_only=True)
class _FolderAnswer:
    FileStatuses: _Statuses


@dataclass(frozen=True, slots=True, kw_only=True)
class _FileAnswer:
    FileStatus: _FileStatus


def _address(text: str) -> str:
    urlsplit(text)  # which refuses what is none
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Redirect:
    Location: Annotated[str, AfterValidator(_address)]


@dataclass(frozen=True, slots=True, kw_only=True)
class _BooleanAnswer:
    boolean: bool


_LISTING = AnswerShape[_FolderAnswer](_FolderAnswer)
_FILE = AnswerShape[_FileAnswer](_FileAnswer)
_REDIRECT = AnswerShape[_Redirect](_Redirect)
_DONE = AnswerShape[_BooleanAnswer](_BooleanAnswer)


@dataclass(frozen=True, slots=True, kw_only=True)
class HdfsAddress:
    """The addresses of a file system's name nodes, and the login; Kerberos is not supported."""

    urls: tuple[str, ...]
    """`http://namenode:9870`, all name nodes if one stands by; or the address of an HttpFS."""
    root: str
    user: str | None = None
    delegation_token: str | None = None
    ca_file: Path | None = None
    connect_timeout_s: float = 10.0
    request_timeout_s: float = 300.0

    async def effective(self) -> tuple[Effective, ...]:
        """Return the settings in force, and where each comes from."""
        who = "delegation token" if self.delegation_token is not None else self.user
        return (
            *(Effective(name="name node", value=url, origin="configuration") for url in self.urls),
            Effective(
                name="identity",
                value=who or "nobody",
                origin="configuration" if who else "default",
            ),
            Effective.proxied(proxy_for(self.urls[0])),
        )


def hdfs_reader(
    address: HdfsAddress, *, pace: Pace, sizes: Sizes, clock: Clock
) -> ObjectStorageReader:
    """Return a `DeepStorageReader` of a folder."""
    bucket = HdfsFolder(address, pace, clock)
    return ObjectStorageReader(
        bucket,
        "",
        piece_bytes=sizes.part_bytes,
        close=bucket.close,
        effective=address.effective,
    )


def hdfs_storage(
    address: HdfsAddress, *, pace: Pace, in_flight: InFlight, sizes: Sizes, clock: Clock
) -> ObjectStorage:
    """Return a `DeepStorage` in a folder."""
    bucket = HdfsFolder(address, pace, clock)
    return ObjectStorage(
        bucket,
        "",
        upload=WriterUpload(bucket, in_flight, sizes),
        in_flight=in_flight,
        sizes=sizes,
        close=bucket.close,
        effective=address.effective,
    )


class HdfsFolder:
    """A `Bucket` of the files below the root; a tag is a file's length and time of change."""

    def __init__(self, address: HdfsAddress, pace: Pace, clock: Clock) -> None:
        self.name = f"hdfs:{address.root}"
        self.keeps_metadata = False
        self._address, self._pace = address, pace
        self._root = address.root.rstrip("/")
        self._clock, self._cleaned = clock, False
        self._active = 0
        self._servers = {urlsplit(url)[:2] for url in address.urls}
        self._is_encrypted = any(url.startswith("https:") for url in address.urls)
        self._who: dict[str, str] = {}
        if address.delegation_token is not None:
            self._who["delegation"] = address.delegation_token
        elif address.user is not None:
            self._who["user.name"] = address.user
        self._http = HttpSession(
            ca_file=address.ca_file,
            connect_timeout_s=address.connect_timeout_s,
            request_timeout_s=address.request_timeout_s,
        )

    async def close(self) -> None:
        """Give up connections."""
        await self._http.close()

    async def stat(self, key: str) -> Stat | None:
        """Return a file's length and tag, None when there is none: one request."""
        doing = f"cannot look at {key}"
        found = await self._request("GET", key, "GETFILESTATUS", doing, shape=_FILE)
        if found is None or (status := found.FileStatus).type != "FILE":
            return None
        return Stat(
            key=key,
            size_bytes=status.length,
            tag=status.tag,
            stored_at=status.stored_at,
            metadata={},
        )

    async def begin(self, key: str) -> Begun | None:
        """Return an object without its bytes, which take a request of their own."""
        stat = await self.stat(key)
        return None if stat is None else Begun(stat, None)

    async def pages(
        self, prefix: str, *, page_objects_max: int = PAGE_OBJECTS_MAX
    ) -> AsyncIterator[Sequence[Listed]]:
        """Yield the files below a folder, a page for each folder: one request each.

        Deeper than `DEPTH_MAX` nothing is listed.
        """
        del page_objects_max
        folders = [(prefix.rstrip("/"), 0)]
        while folders:
            folder, depth = folders.pop()
            doing = f"cannot list {folder}"
            answer = await self._request("GET", folder, "LISTSTATUS", doing, shape=_LISTING)
            page: list[Listed] = []
            for status in () if answer is None else answer.FileStatuses.FileStatus:
                if not status.pathSuffix:
                    continue  # the path itself, which is a file
                key = "/".join(part for part in (folder, status.pathSuffix) if part)
                if status.type == "DIRECTORY" and depth < DEPTH_MAX:
                    folders.append((key, depth + 1))
                elif status.type == "FILE":
                    page.append(_listed(key, status))
            yield page

    async def read(
        self, key: str, *, tag: str, start: int, end: int, piece_bytes: int
    ) -> AsyncIterator[bytes]:
        """Yield a range of a file, after checking that the file is still the same.

        Raises:
            MissingObjectError: it is gone.
            RewrittenObjectError: it was written since it was listed.
        """
        if start >= end:
            return
        doing = f"cannot read {key}"
        stat = await self.stat(key)
        if stat is None:
            raise MissingObjectError(f"{key} is not in {self.name}")
        # WebHDFS knows no conditional read. Druid's pushers rename a new file into place and change
        # none, so that an equal tag before the read means equal bytes.
        if stat.tag != tag:
            raise RewrittenObjectError(
                f"{key} of {self.name} was written since it was listed",
                hint="it is listed and read again",
            )
        params = {"offset": str(start), "length": str(end - start)}
        place = await self._redirected("GET", key, "OPEN", doing, params)
        if place is None:
            raise MissingObjectError(f"{key} is not in {self.name}")
        await self._pace.request()
        with reached(self.name, doing):
            async with self._http.request("GET", place) as response:
                await self._require(response, doing)
                pieces = in_pieces(
                    response,
                    size_bytes=end - start,
                    piece_bytes=piece_bytes,
                    request_timeout_s=self._http.request_timeout_s,
                )
                async for piece in pieces:
                    await self._pace.transfer(len(piece))
                    yield piece

    async def create(
        self,
        key: str,
        data: Piece,
        metadata: Mapping[str, str] | None = None,
        *,
        retained: bool = True,
    ) -> bool:
        """Store a file; return False, and change nothing, when there is one."""
        del metadata, retained
        aside = await self._written_aside(key, [data])
        return await self._placed(aside, key)

    async def replace(self, key: str, data: Piece, *, retained: bool = False) -> None:
        """Store one of the replicator's own files, whatever was there.

        Raises:
            TransientError: another process has written it in the moment in which none was there.
        """
        del retained
        aside = await self._written_aside(key, [data])
        # A rename of HDFS replaces nothing, so that for a moment nothing is at the key.
        if not await self._placed(aside, key, keep=True):
            await self.delete(key)
            if not await self._placed(aside, key):
                raise TransientError(f"{self.name}: {key} was written by another process meanwhile")

    async def writer(self, key: str, *, part_bytes: int) -> "HdfsWriter":
        """Return what writes a large file in pieces."""
        del part_bytes
        await self._forget_abandoned()
        aside = await self._written_aside(key, [])
        return HdfsWriter(self, key, aside)

    async def clear(self, key: str) -> None:
        """Leave no file at a key."""
        await self.delete(key)

    async def extend(self, key: str, until: datetime) -> bool:
        """Do nothing: HDFS has no locks."""
        del key, until
        return True

    async def delete(self, key: str) -> None:
        """Remove a file, which may be gone, and the folders above it that are empty then."""
        await self._request("DELETE", key, "DELETE", f"cannot remove {key}", shape=_DONE)
        folder, _, _ = key.rpartition("/")
        # Another process may be about to place its file in a folder of ours.
        while folder and not key.startswith(f"{OWN_AREA}/"):
            try:
                doing = f"cannot remove {folder}"
                await self._request("DELETE", folder, "DELETE", doing, shape=_DONE)
            except RefusedError:
                return
            folder, _, _ = folder.rpartition("/")

    async def append(self, aside: str, data: Piece) -> None:
        """Append bytes to a file that is not visible yet.

        Raises:
            TransientError: another process has removed it, as an abandoned one.
        """
        doing = f"cannot write {aside}"
        place = await self._redirected("POST", aside, "APPEND", doing, {})
        if place is None:
            raise TransientError(f"{self.name}: {aside} is gone")
        await self._send("POST", place, [data], doing)

    async def place(self, aside: str, key: str) -> None:
        """Make visible a file that was written aside.

        Raises:
            FileExistsError: there is one already.
        """
        if not await self._placed(aside, key):
            raise FileExistsError(key)

    async def _forget_abandoned(self) -> None:
        """Remove, once, what dead processes left; judged by age, because others may be at work."""
        if self._cleaned:
            return
        self._cleaned = True
        oldest = self._clock.now() - ABANDONED_AFTER
        async for page in self.pages(UNFINISHED):
            for one in page:
                if one.stored_at < oldest:
                    await self.delete(one.key)

    async def _placed(self, aside: str, key: str, *, keep: bool = False) -> bool:
        """Rename a file into place in one step; return False if something is there."""
        folder, _, _ = key.rpartition("/")
        doing = f"cannot make the folder of {key}"
        await self._request("PUT", folder, "MKDIRS", doing, shape=_DONE)
        params, doing = {"destination": f"{self._root}/{key}"}, f"cannot rename to {key}"
        found = await self._request("PUT", aside, "RENAME", doing, params, shape=_DONE)
        placed = found is not None and found.boolean
        if not placed and not keep:
            await self.delete(aside)
            if await self.stat(key) is None:
                raise TransientError(f"{self.name}: the folder of {key} was removed meanwhile")
        return placed

    async def _written_aside(self, key: str, pieces: Sequence[Piece]) -> str:
        # A file is visible from its first byte on, and a writer that dies leaves what it has sent.
        aside, doing = f"{UNFINISHED}/{uuid4().hex}", f"cannot write {key}"
        place = await self._redirected("PUT", aside, "CREATE", doing, {"overwrite": "false"})
        if place is None:
            raise TransientError(f"{self.name}: {self._root} is not there")
        await self._send("PUT", place, pieces, doing)
        return aside

    async def _send(self, method: str, place: str, pieces: Sequence[Piece], doing: str) -> None:
        data = b"".join(pieces)
        await self._pace.request()
        await self._pace.transfer(len(data))
        with reached(self.name, doing):
            async with self._http.request(
                method,
                place,
                data=BytesIO(data),
                headers={"Content-Type": "application/octet-stream"},
            ) as response:
                await self._require(response, doing)

    async def _redirected(
        self, method: str, key: str, op: str, doing: str, params: Mapping[str, str]
    ) -> str | None:
        """Return the data node's address for an operation, None when there is no such file."""
        query = {**params, "noredirect": "true"}
        found = await self._request(method, key, op, doing, query, shape=_REDIRECT)
        return None if found is None else self._data_node(found.Location, doing)

    def _data_node(self, place: str, doing: str) -> str:
        """Return the address that a name node sends to, if it is one of WebHDFS.

        Data nodes are other hosts by design, and no setting names them. But the address is the
        answer of a server: it must not send in clear what was to be encrypted, carry a login of its
        own, or ask something else of another host. A gateway before both, as Knox is one, has paths
        of its own.

        Raises:
            ConfigError: it is none.
        """
        parts = urlsplit(place)
        schemes = {"https"} if self._is_encrypted else {"http", "https"}
        is_known = (parts.scheme, parts.netloc) in self._servers
        is_one = is_known or (parts.hostname and parts.path.startswith(OPERATIONS))
        is_safe = "@" not in parts.netloc and ".." not in parts.path.split("/")
        if parts.scheme not in schemes or not is_one or not is_safe:
            raise ConfigError(
                f"{self.name}: {doing}: the name node sends to {parts.scheme}://{parts.hostname}"
                f"{parts.path}, which is no data node's address",
                hint=f"it must be {' or '.join(sorted(schemes))}, begin with {OPERATIONS} and have"
                " no login; correct `url`, or `dfs.http.policy` of the cluster",
            )
        return place

    async def _request(
        self,
        method: str,
        key: str,
        op: str,
        doing: str,
        params: Mapping[str, str] | None = None,
        *,
        shape: AnswerShape[_T],
    ) -> _T | None:
        """Ask the name node that is active now; None when there is no such file.

        The one that answered last is asked first. If it acted and its answer was lost, the next one
        is asked for the same again, and reports that the file is there, or is gone.
        """
        request = _NameNodeRequest(method, key, {"op": op, **self._who, **(params or {})})
        urls, begin, refusals = self._address.urls, self._active, list[TransientError]()
        for number in range(len(urls)):
            at = (begin + number) % len(urls)
            try:
                found = await self._request_from(urls[at], request, doing, shape)
            except _PassedOverError as exc:
                refusals.append(exc)
            else:
                self._active = at
                return found
        if len(refusals) == 1:
            raise TransientError(str(refusals[0])) from refusals[0]
        reasons = "; ".join(map(str, refusals))
        raise TransientError(
            f"{self.name}: {doing}: no name node is active: {reasons}",
            hint="check that one of them is up, active and out of safe mode",
        )

    async def _request_from(
        self, url: str, request: "_NameNodeRequest", doing: str, shape: AnswerShape[_T]
    ) -> _T | None:
        await self._pace.request()
        path = quote(f"{self._root}/{request.key}".rstrip("/"))
        try:
            with reached(f"{self.name} at {url}", doing):
                async with self._http.request(
                    request.method, f"{url.rstrip('/')}/webhdfs/v1{path}", params=request.params
                ) as response:
                    refuse_redirect(response, f"{self.name} at {url}: {doing}")
                    text = await whole(
                        response,
                        f"{self.name}: {doing}",
                        too_large=UnreadableObjectError,
                        within_s=self._http.request_timeout_s,
                    )
        except TransientError as exc:
            raise _PassedOverError(str(exc)) from exc
        if response.status == HTTPStatus.NOT_FOUND:
            return None
        elsewhere = len(self._address.urls) > 1 and response.status in AWAY
        if elsewhere or any(word in text for word in PASSED_OVER):
            message = answered(response.status, text.decode(errors="replace"))
            raise _PassedOverError(f"{self.name} at {url}: {doing}: {message}")
        self._refuse(response, text.decode(errors="replace"), doing)
        with reached(self.name, doing):
            return shape.read(text)

    async def _require(self, response: ClientResponse, doing: str) -> None:
        """Refuse a data node's answer that is an error, or a redirect to somewhere else."""
        refuse_redirect(response, f"{self.name}: {doing}")
        if not response.ok:
            self._refuse(
                response, await complaint(response, within_s=self._http.request_timeout_s), doing
            )

    def _refuse(self, response: ClientResponse, text: str, doing: str) -> None:
        """Raise the error that an answer stands for, if it is one."""
        if response.ok:
            return
        message = f"{self.name}: {doing}: {answered(response.status, text)}"
        if response.status == HTTPStatus.NOT_FOUND:
            raise MissingObjectError(message)
        if response.status in {401, 403} and any(word in text for word in DENIED):
            raise DeniedKeyError(
                f"{self.name}: {doing}: access denied: {answered(response.status, text)}",
                hint="set `user`, or the token, to one with the permission",
            )
        if response.status == HTTPStatus.FORBIDDEN and ENCRYPTED in text:
            raise RejectedKeyError(message)
        if response.status in BUSY:
            self._pace.refused(retry_after_s(response.headers))
        if NOT_EMPTY in text:
            raise RefusedError(f"{self.name}: {doing}: it is a folder that is not empty")
        raise TransientError(message)


class _NameNodeRequest(NamedTuple):
    """A request to a name node."""

    method: str
    key: str
    params: Mapping[str, str]


class _PassedOverError(TransientError):
    """This name node is not active; another may be."""


class HdfsWriter:
    """Appends to a file that is written aside, and renames the file at the end."""

    def __init__(self, folder: HdfsFolder, key: str, aside: str) -> None:
        self._folder, self._key, self._aside = folder, key, aside

    async def write(self, data: Piece) -> None:
        """Add bytes at the end."""
        if data:
            await self._folder.append(self._aside, data)

    async def abort(self) -> None:
        """Remove what was written aside."""
        await self._folder.delete(self._aside)

    async def complete(self) -> None:
        """Make it visible."""
        await self._folder.place(self._aside, self._key)


def _listed(key: str, status: _FileStatus) -> Listed:
    return Listed(key=key, size_bytes=status.length, tag=status.tag, stored_at=status.stored_at)
