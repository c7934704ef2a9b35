"""From a load spec to a location in a deep storage, and from there to one in another storage.

A load spec, not a segment's id, names bytes: several rows can share one (concurrent append and
replace), tombstones have none. Locations are relative to the storage's root, so that the same
layout can be kept in another storage, one segment a directory: Druid's killer for local storage
deletes the directory above the object (LocalDataSegmentKiller).

A key in a bucket is opaque: Druid joins `druid.storage.baseKey` and a segment's path by a slash
(S3Utils.constructSegmentPath, GoogleDataSegmentPusher.buildPath), so that a base key that ends in
one makes keys with two. Such a location is read by its own key, and kept elsewhere without the
empty name. Paths of file systems are names between slashes, however many.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NewType, Protocol
from urllib.parse import urlsplit

from replicator.errors import MalformedRowError, MisplacedError

Location = NewType("Location", str)
"""A key relative to a deep storage's root; a trailing slash means all objects below it.

In one of a source's other storages it begins with `//<name>/`. In a bucket names may be empty.
"""

OWN_AREA = "_replicator"
"""Folder of our own files below a target's root."""
AREAS = frozenset({".replicator", OWN_AREA})
"""Names at a storage's root that are ours; no segment is stored there, and none read."""

TOMBSTONE = "tombstone"
PACKED = "index.zip"
LZ4 = "index.lz4"
"""How the name of a segment ends that Druid 37 packed by lz4, in HDFS (#18982)."""
KEY_BYTES_MAX = 1024
"""Longest key of S3 and Google, in bytes; Azure allows as many characters."""
NAME_BYTES_MAX = 255
"""Longest file name, also in HDFS (dfs.namenode.fs-limits.max-component-length), in bytes."""
_LZ4_ENDS = (f"/{LZ4}", f"_{LZ4}")
_ODD_NAMES = frozenset({"", ".", ".."})
_HDFS_NAME = re.compile(r"(?P<partition>\d+)_(?:(?P<unique>[^/_]+)_)?index\.(?P<ending>[a-z0-9.]+)")
_HADOOP_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?://([^/]*))?(/.*)")
_PACKED = re.compile(r"/index\.([a-z0-9.]+)$")
HADOOPS_OWN = frozenset({"", "hdfs", "webhdfs", "swebhdfs"})
"""Schemes by which Hadoop reaches HDFS; '' is its default file system."""
HADOOPS_S3 = frozenset({"s3", "s3n", "s3a"})
HADOOPS_GOOGLE = frozenset({"gs"})
_INSTANT = r"([-+]?\d{4,9})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d\.\d{3}Z)"
_INTERVAL = re.compile(f"{_INSTANT}_{_INSTANT}")
_BASIC = r"\1\2\3T\4\5\6_\7\8\9T\10\11\12"


class Layout(Protocol):
    """How one deep storage writes its load specs."""

    def locate(self, load_spec: Mapping[str, Any]) -> Location | None:
        """Return the location that the load spec names, None for a tombstone.

        Raises:
            MalformedRowError: another type of storage, a missing field, or outside the root.
        """
        ...

    def own_location(self, location: Location) -> Location:
        """Return where this storage keeps what is at `location` of any storage.

        One segment a directory, in names that the storage allows. A folder that becomes one
        object is packed on the way. A location that is this storage's own already stays as it is.

        Raises:
            MalformedRowError: Druid cannot read it from such a storage.
        """
        ...

    def load_spec(self, location: Location) -> Mapping[str, Any]:
        """Return the load spec that names this location."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalLayout:
    """`{"type": "local", "path": <absolute path>}`: a directory since 26.0.0, before that a zip.

    `root` is the storage directory as Druid sees it (`druid.storage.storageDirectory`).
    """

    root: str

    def locate(self, load_spec: Mapping[str, Any]) -> Location | None:
        """Return the path below the root, its trailing slash kept."""
        if _is_tombstone(load_spec, "local"):
            return None
        path = _text(load_spec, "path")
        return _in_folder(self.root, path.removeprefix("file:"), path)

    def own_location(self, location: Location) -> Location:
        """Return the same path, in a directory of its own; it stays packed or unpacked.

        But for what is packed by lz4, which no LocalDataSegmentPuller reads.
        """
        own = _without_empty(_separate(location))
        if is_lz4(own):
            own = Location(own.removesuffix(LZ4) + "index/")
        if own[-1] == "/":
            return _short_names(own)
        if (packed := _PACKED.search(own)) is not None and packed[1] not in {"zip", "gz"}:
            raise _unreadable(own, "local")
        return _short_names(_readable(own, "local"))

    def load_spec(self, location: Location) -> Mapping[str, Any]:
        """Return the load spec of a location, as Druid's LocalDataSegmentPusher writes it."""
        return {"type": "local", "path": f"{self.root.rstrip('/')}/{location}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Layout:
    """`{"type": "s3_zip", "bucket", "key", "S3Schema"}`, also for a prefix of unpacked files.

    And `{"type": "hdfs", "path": "s3a://<bucket>/<key>"}`, as druid-hdfs-storage writes it.

    Older releases write no `S3Schema`. A key that ends in a slash names a prefix, which Druid
    writes and reads since 35.0.0 (`druid.storage.zip=false`). `prefix` is `druid.storage.baseKey`.
    """

    bucket: str
    prefix: str
    schema: str = "s3n"
    packed: bool = True
    """Whether unpacked segments are packed on the way, for releases before 35.0.0."""

    def locate(self, load_spec: Mapping[str, Any]) -> Location | None:
        """Return the key below the prefix."""
        load_spec = _of_hadoop(load_spec, HADOOPS_S3, ("s3_zip", "bucket", "key"))
        if _is_tombstone(load_spec, "s3_zip"):
            return None
        _require_container(load_spec, "bucket", self.bucket)
        key = _text(load_spec, "key")
        return _below(self.prefix, key, f"{self.bucket}/{key}")

    def own_location(self, location: Location) -> Location:
        """Return the same key, packed unless it need not be."""
        own = _zipped(_pack(location) if self.packed else _separate(location))
        return _short_key(self.prefix, _readable(_without_empty(own), "s3_zip"))

    def load_spec(self, location: Location) -> Mapping[str, Any]:
        """Return the load spec of a location, as Druid's S3DataSegmentPusher writes it."""
        return {
            "type": "s3_zip",
            "bucket": self.bucket,
            "key": _join(self.prefix, location),
            "S3Schema": self.schema,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class GoogleLayout:
    """`{"type": "google", "bucket", "path"}`; `prefix` is `druid.google.prefix`.

    And `{"type": "hdfs", "path": "gs://<bucket>/<path>"}`, as druid-hdfs-storage writes it. A path
    that ends in a slash names a folder of unpacked files
    (https://github.com/apache/druid/pull/20382, in no release yet).
    """

    bucket: str
    prefix: str
    packed: bool = True
    """Whether unpacked segments are packed on the way, for releases that read no folders."""

    def locate(self, load_spec: Mapping[str, Any]) -> Location | None:
        """Return the path below the prefix."""
        load_spec = _of_hadoop(load_spec, HADOOPS_GOOGLE, ("google", "bucket", "path"))
        if _is_tombstone(load_spec, "google"):
            return None
        _require_container(load_spec, "bucket", self.bucket)
        path = _text(load_spec, "path")
        return _below(self.prefix, path, f"{self.bucket}/{path}")

    def own_location(self, location: Location) -> Location:
        """Return the same path, packed unless it need not be."""
        own = _zipped(_pack(location) if self.packed else _separate(location))
        return _short_key(self.prefix, _readable(_without_empty(own), "google"))

    def load_spec(self, location: Location) -> Mapping[str, Any]:
        """Return the load spec of a location, as Druid's GoogleDataSegmentPusher writes it."""
        return {"type": "google", "bucket": self.bucket, "path": _join(self.prefix, location)}


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureLayout:
    """`{"type": "azure", "containerName", "blobPath"}`; `prefix` is `druid.azure.prefix`.

    A blob path can begin with `wasb(s)://<container>@<host>/` (Hadoop indexing wrote it so;
    AzureUtils.maybeRemoveAzurePathPrefix). Colons are replaced and instants written in the basic
    format, as AzureDataSegmentPusher does. A path that ends in a slash names a folder of unpacked
    files (https://github.com/apache/druid/pull/20327, after 38.0.0).
    """

    container: str
    prefix: str
    packed: bool = True
    """Whether unpacked segments are packed on the way, for releases that read no folders."""

    def locate(self, load_spec: Mapping[str, Any]) -> Location | None:
        """Return the blob's path below the prefix."""
        if _is_tombstone(load_spec, "azure"):
            return None
        _require_container(load_spec, "containerName", self.container)
        text = _text(load_spec, "blobPath")
        path = re.sub(r"^wasbs?://[^/]*/", "", text)
        return _below(self.prefix, path, f"{self.container}/{text}")

    def own_location(self, location: Location) -> Location:
        """Return the same path without colons, packed unless it need not be."""
        own = _zipped(_pack(location) if self.packed else _separate(location))
        return _short_key(self.prefix, _readable(_without_colons(_without_empty(own)), "azure"))

    def load_spec(self, location: Location) -> Mapping[str, Any]:
        """Return the load spec of a location, as Druid's AzureDataSegmentPusher writes it."""
        return {
            "type": "azure",
            "containerName": self.container,
            "blobPath": _join(self.prefix, location),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class HdfsLayout:
    """`{"type": "hdfs", "path"}`: `hdfs://<name node or name service>/…`, or a path alone.

    Also `hdfs:/…`, WebHDFS's own schemes, and `viewfs://<cluster>/…` where that is `filesystem`.

    HDFS allows no colons in names, so they are replaced as HdfsDataSegmentPusher does. Druid
    itself writes several segments into one directory, `<partition>_[<unique>_]index.zip`; its
    killer and puller know a directory for each as well (HdfsDataSegmentKiller), which is what is
    written here. The killer refuses unpacked segments, so they are packed.
    """

    lz4: bool = False
    """Whether what is packed by lz4 stays so, for releases from 37 on."""
    filesystem: str
    """`hdfs://host:8020` or `hdfs://nameservice`, as new load specs name it."""
    root: str
    """`druid.storage.storageDirectory`, without the file system."""

    def locate(self, load_spec: Mapping[str, Any]) -> Location | None:
        """Return the path below the root; name nodes change, so any HDFS is taken for it.

        Raises:
            MisplacedError: it is in another file system, or not below the root.
        """
        if _is_tombstone(load_spec, "hdfs"):
            return None
        text = _text(load_spec, "path")
        scheme, authority, path = _url_of(text)
        ours = urlsplit(self.filesystem)
        if scheme not in HADOOPS_OWN and (scheme, authority) != (ours.scheme, ours.netloc):
            raise MisplacedError(
                f"its load spec names {text!r}, which is not in the file system {self.filesystem};"
                " a bucket that Druid writes through Hadoop is a storage of type s3 or google"
            )
        return _in_folder(self.root, path, text)

    def own_location(self, location: Location) -> Location:
        """Return the same path without colons, packed, in a directory of its own."""
        own = _without_empty(_pack(location))
        if _PACKED.search(own) is None:  # else its name says how it is packed
            _readable(own, "hdfs")
        return _short_names(_without_colons(own if self.lz4 else _zipped(own)))

    def load_spec(self, location: Location) -> Mapping[str, Any]:
        """Return the load spec of a location, as Druid's HdfsDataSegmentPusher writes it."""
        path = f"{self.root.rstrip('/')}/{location}"
        return {"type": "hdfs", "path": f"{self.filesystem.rstrip('/')}{path}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceLayout:
    """A source's storages: where it writes now, and where it wrote before or archived to."""

    main: Layout
    others: Mapping[str, Layout]

    def locate(self, load_spec: Mapping[str, Any]) -> Location | None:
        """Return the location in the first storage that the load spec fits.

        Raises:
            MalformedRowError: it fits none; the message is that of the main one when its type
                is right, or of the first of the right type.
            MisplacedError: no storage of the source has its type.
        """
        refusals: list[MalformedRowError] = []
        for name, layout in [("", self.main), *self.others.items()]:
            try:
                location = layout.locate(load_spec)
            except MalformedRowError as exc:
                refusals.append(exc)
            else:
                return None if location is None else _of_storage(name, location)
        kind = [exc for exc in refusals if not isinstance(exc, _AnotherTypeError)]
        if kind:
            raise kind[0]
        types = " and ".join(sorted({str(exc.args[1]) for exc in refusals}))
        raise MisplacedError(
            f"its load spec has type {load_spec.get('type')!r}, the source's storages read {types}"
        )

    def own_location(self, location: Location) -> Location:
        """Return the location itself: a source does not move bytes."""
        return location

    def load_spec(self, location: Location) -> Mapping[str, Any]:
        """Return the load spec of a location."""
        name, key = storage_of(location)
        return (self.others[name] if name else self.main).load_spec(key)


class _AnotherTypeError(MisplacedError):
    """The load spec is of another type than this storage reads."""

    def __init__(self, found: object, reads: str) -> None:
        super().__init__(f"its load spec has type {found!r}, this storage reads {reads!r}")
        self.args = (self.args[0], repr(reads))

    def __str__(self) -> str:
        return str(self.args[0])


def moved(found: Mapping[str, Any], location: Location, target: Layout) -> Mapping[str, Any]:
    """Return the target's load spec for the bytes that a source's load spec names.

    Members that this release does not know go along where type and layout stay, so that a newer
    Druid loses nothing: `rangeable`, for one, says since 38.0.0 that files of a folder in S3 can be
    read in parts (S3LoadSpec), and is true of that folder alone, never of a zip made of it.

    Raises:
        MalformedRowError: as for `Layout.own_location`.
    """
    own = target.own_location(location)
    written = target.load_spec(own)
    unknown = found.keys() - written.keys()
    if not unknown or not _stays(found, location, written, own):
        return written
    return {**written, **{name: value for name, value in found.items() if name in unknown}}


def storage_of(location: Location) -> tuple[str, Location]:
    """Return the name of a source's other storage, '' for its main one, and the key there."""
    if not location.startswith("//"):
        return "", location
    name, _, key = location[2:].partition("/")
    return name, Location(key)


def _stays(
    found: Mapping[str, Any], location: Location, written: Mapping[str, Any], own: Location
) -> bool:
    """Return whether type and layout are the same here and there."""
    return found.get("type") == written["type"] and location.endswith("/") == own.endswith("/")


def _is_tombstone(load_spec: Mapping[str, Any], reads: str) -> bool:
    type_ = load_spec.get("type")
    if type_ not in (TOMBSTONE, reads):  # no set: it may be anything that JSON has
        raise _AnotherTypeError(type_, reads)
    return bool(type_ == TOMBSTONE)


def _text(load_spec: Mapping[str, Any], name: str) -> str:
    found = load_spec.get(name)
    if not isinstance(found, str) or not found:
        raise MalformedRowError(f"its load spec has no {name}")
    return found


def _require_container(load_spec: Mapping[str, Any], name: str, ours: str) -> None:
    if (found := _text(load_spec, name)) != ours:
        raise MisplacedError(f"its load spec names the {name} {found!r}, this storage is {ours!r}")


def _url_of(text: str) -> tuple[str, str, str]:
    """Return scheme, authority and path of what Hadoop names a file by; each may be ''."""
    found = _HADOOP_URL.fullmatch(text)
    return ("", "", text) if found is None else (found[1].lower(), found[2] or "", found[3])


def _of_hadoop(
    load_spec: Mapping[str, Any], schemes: frozenset[str], members: tuple[str, str, str]
) -> Mapping[str, Any]:
    """Return a load spec of type `hdfs` that names an object of a bucket as that bucket's own."""
    path = load_spec.get("path")
    if load_spec.get("type") != "hdfs" or not isinstance(path, str):
        return load_spec
    scheme, bucket, key = _url_of(path)
    if scheme not in schemes:
        return load_spec
    type_, container, object_ = members
    return {"type": type_, container: bucket, object_: key.removeprefix("/")}


def key_prefix(prefix: str) -> str:
    """Return what the keys of all objects begin with, '' for a whole bucket.

    A base key with slashes at its end and one without have the same locations below them: what a
    Druid with the one writes has an empty name more than what one with the other does.
    """
    return prefix.rstrip("/") + "/" if prefix else ""


def is_plain(location: str) -> bool:
    """Return whether a location means the same on any file system and in any bucket."""
    names = location.removesuffix("/").split("/")
    return _ODD_NAMES.isdisjoint(names) and location.isprintable()


def _below(prefix: str, key: str, text: str) -> Location:
    """Return an object's key below the prefix, as it is."""
    above = key_prefix(prefix)
    names = key.removeprefix(above).split("/")
    if (
        not key.startswith(above)
        or not any(names)
        or not {".", ".."}.isdisjoint(names)
        or not key.isprintable()
    ):
        raise _misplaced(text, above or "(the whole container)")
    return Location(key.removeprefix(above))


def _in_folder(root: str, path: str, text: str) -> Location:
    """Return a path below a folder; doubled slashes and `.` say nothing in a file system."""
    above, plain = _folder(root), _plain(path)
    relative = plain[len(above) :]
    if (
        not plain.startswith(above)
        or not relative
        or (".." in relative and ".." in relative.split("/"))
        or not path.isprintable()
    ):
        raise _misplaced(text, root.rstrip("/") + "/")
    return Location(relative)


def _plain(path: str) -> str:
    """Return an absolute path without the names that say nothing; most paths have none."""
    if path[:1] != "/" or ("//" not in path and "/." not in path):
        return path
    return "/" + "/".join(_names(path)) + ("/" if path.endswith("/") else "")


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in {"", "."}]


@lru_cache(maxsize=64)
def _folder(root: str) -> str:
    """Return what the plain paths of all that is in a folder begin with."""
    return "/" + "".join([f"{name}/" for name in _names(root)])


def _misplaced(path: str, root: str) -> MalformedRowError:
    return MisplacedError(
        f"its load spec names {path!r}, which is not a location below the deep storage's root"
        f" {root}"
    )


def _join(prefix: str, location: Location) -> str:
    return key_prefix(prefix) + location


def _of_storage(name: str, location: Location) -> Location:
    """Return a location in the form that `storage_of` reads."""
    return Location(f"//{name}/{location}") if name or location.startswith("//") else location


def _without_empty(location: Location) -> Location:
    """Return a location without empty path elements: only Druid's own pusher needs them.

    Raises:
        MalformedRowError: it is in the replicator's own area, so no target can store it.
    """
    if location[0] == "/" or "//" in location:
        tail = "/" if location[-1] == "/" else ""
        location = Location("/".join(filter(None, location.split("/"))) + tail)
    return _outside_areas(location)


def _outside_areas(location: Location) -> Location:
    """Refuse a location in the replicator's own area, which no target can store."""
    if location.split("/", 1)[0] in AREAS:
        raise MalformedRowError(
            f"its bytes would be in {location}, and {location.split('/', 1)[0]!r} is the folder of"
            " this program's own files; ingest it again under another datasource's name"
        )
    return location


def _short_names(location: Location) -> Location:
    if len(location) <= NAME_BYTES_MAX and location.isascii():
        return location
    longest = max(location.split("/"), key=lambda name: len(name.encode()))
    if len(longest.encode()) > NAME_BYTES_MAX:
        raise MalformedRowError(
            f"its location has a name of {len(longest.encode())} bytes, a file system keeps"
            f" {NAME_BYTES_MAX}: {longest}"
        )
    return location


def _short_key(prefix: str, location: Location) -> Location:
    if 4 * (len(prefix) + len(location) + 1) <= KEY_BYTES_MAX:
        return location
    if (size_bytes := len(_join(prefix, location).encode())) > KEY_BYTES_MAX:
        raise MalformedRowError(
            f"its location has a key of {size_bytes} bytes, a bucket keeps {KEY_BYTES_MAX}:"
            f" {location}"
        )
    return location


def _separate(location: Location) -> Location:
    """Give the segment a directory of its own, the last but one name of its location."""
    key = storage_of(location)[1] if location[:2] == "//" else location
    if key.endswith("/"):
        return key if key.endswith("/index/") else Location(f"{key}index/")
    folder, slash, name = key.rpartition("/")
    if (found := _HDFS_NAME.fullmatch(name)) is not None:
        parts = [found["partition"], *([found["unique"]] if found["unique"] else [])]
        return Location(f"{folder}{slash}{'/'.join(parts)}/index.{found['ending']}")
    return key


def _pack(location: Location) -> Location:
    separate = _separate(location)
    return Location(separate.removesuffix("index/") + PACKED) if separate[-1] == "/" else separate


def _zipped(location: Location) -> Location:
    """Return the location of a segment's zip, where it is packed by lz4."""
    return Location(location.removesuffix(LZ4) + PACKED) if is_lz4(location) else location


def is_lz4(location: Location) -> bool:
    """Return whether a segment is packed by lz4, whether it has a directory of its own or not."""
    return location.endswith(_LZ4_ENDS)


def _without_colons(location: Location) -> Location:
    names = [_INTERVAL.sub(_BASIC, name) for name in location.split("/")]
    return _outside_areas(Location("/".join(names).replace(":", "_")))


def _readable(location: Location, type_: str) -> Location:
    if not location.endswith(("/", ".zip", ".gz")):
        raise _unreadable(location, type_)
    return location


def _unreadable(location: Location, type_: str) -> MalformedRowError:
    return MalformedRowError(
        f"{location} is neither a zip nor a folder: Druid cannot read it from a deep storage of"
        f" type {type_!r}"
    )
