"""Files of the history that a target keeps beside its bytes: their names and contents.

A file is zstd over lines of JSON: a header, one line per record, and a footer that ends with the
SHA-256 of all bytes before it. `docs/archive.md` describes the format for readers without this
program; `FORMAT` grows when it changes, and the tests keep a golden copy of each.

    history/<log id>/<start>-<end>.jsonl.zst      a part of the log as it was, `end` not in it
    history/<log id>/merged/<start>-<end>.jsonl.zst    files that follow one another, whole
    bases/<log id>/<offset>/<start>.jsonl.zst     the records that a cut still consists of
    bases/<log id>/<offset>/manifest.json         written last: without it there is no base
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import pairwise
from typing import Annotated, Any, Final, Literal, TypeAlias

import cramjam
import orjson

from replicator.errors import CorruptionError, TooLargeError
from replicator.model.document import (
    HEXADECIMAL,
    INT_MAX,
    NATURAL,
    Name,
    Natural,
    Shape,
    Time,
    parsed,
    time_text,
)
from replicator.model.event import ClosedCut, CutClosed, CutNumber, Epoch, Offset, Record
from replicator.model.fingerprint import Digest, hex_digest
from replicator.model.timestamps import FIRST_YEAR, LAST_YEAR

HINT = (
    "it was altered or cut short; take it from a copy of this store, or restore a point that does"
    " not need it (`replicator points` lists them)"
)
FORMAT = 1
MERGED_FORMAT = 2
"""Format of a file that contains other files: releases that know only the first one refuse it."""
HISTORY: Final = "history"
MERGED: Final = "merged"
BASES: Final = "bases"
FileKind: TypeAlias = Literal["history", "bases"]
OFFSET_DIGITS = 20
"""Names sort as their offsets do; a Kafka offset has at most 19 digits."""
_NAME = re.compile(r"(?P<start>\d{20})-(?P<end>\d{20})\.jsonl\.zst", re.ASCII)
_MANIFEST = re.compile(r"(?P<offset>\d{20})/manifest\.json", re.ASCII)
_TYPE = re.compile(rb'"type":"([a-z_.]+)"')
_EVENT = b'"event":'
_NO_YEAR = f"a record's time is not between the years {FIRST_YEAR} and {LAST_YEAR}"
UNPACKED_BYTES_MAX = 64 << 20
"""Limit for one file's unpacked bytes; files are written with `history.file_bytes_max`, 8 MiB."""
ROOM_FIRST, ROOM_GROWTH = 16, 4
"""First size of the unpacking buffer, as a multiple of the file's, and the factor of its growth."""
MANIFEST_HEAD_BYTES_MAX, MANIFEST_PART_BYTES_MAX = 8 << 10, 160
"""Limits for the bytes of a manifest: those beside its parts, and those of each part."""
LINE_BYTES_MIN = len(b'{"offset":0,"appended_at":"","event":{}}')
FULL = "failed to write whole buffer"
"""Message of cramjam when the output does not fit its buffer."""
LEVEL = 3
"""Level of zstd; higher levels take twice the time and save a twentieth of the bytes."""
MERGED_LEVEL = 9
"""Level of zstd for merged files, whose writing is not waited for; it saves a fifth."""
_FOOTER = b'{"end":'
"""Start of the last line of a file, and of no line before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """Start of a file."""

    kind: FileKind
    source: str
    log_id: Name
    start: Annotated[Offset, NATURAL]
    """Offset before which the file has no record."""
    previous: str | None
    """SHA-256 at the end of the file before this one; None: a base comes before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """End of a file."""

    end: Offset
    """Offset after the last record, where the next file starts; in a base: after its cut."""
    records: int
    last: ClosedCut | None
    """The last cut that this file closes; None: it closes none."""
    sha256: str
    """Checksum of all lines before this one, before compression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFile:
    """One file, read and checked.

    A merged file looks like one that was written at once: its footer has the checksum of its last
    file, which the next file names as `previous`.
    """

    header: Header
    records: Sequence[Record]
    footer: Footer
    merged: Sequence["ArchiveFile"] = ()
    """The files in it, in their order; empty if the file was written at once."""

    @property
    def parts(self) -> Sequence["ArchiveFile"]:
        """The original files: those in a merged file, or the file itself."""
        return self.merged or (self,)

    def part(self, start: Offset, end: Offset) -> "ArchiveFile | None":
        """Return the part between two offsets, if files in it begin and end there."""
        found = [one for one in self.parts if start <= one.header.start and one.footer.end <= end]
        if not found or (found[0].header.start, found[-1].footer.end) != (start, end):
            return None
        return found[0] if len(found) == 1 else joined(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class BasePart:
    """One file of a base, as the manifest names it."""

    start: Annotated[Offset, NATURAL]
    """Offset of the part's first record."""
    records: Natural
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """All records of a cut, without the history before it."""

    source: str
    log_id: str
    cut: ClosedCut
    rows: int
    parts: tuple[BasePart, ...]
    """The base's parts, ordered by offset."""

    @property
    def offset(self) -> Offset:
        """Offset of the cut; the history after the base continues at the next one."""
        return self.cut.offset


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """A closed cut in a file's notation."""

    offset: Annotated[Offset, NATURAL]
    cut: Annotated[CutNumber, NATURAL]
    source_time: Time
    count: Natural
    digest: Annotated[Digest, HEXADECIMAL]
    epoch: Annotated[Epoch, NATURAL]
    distrusts_row_versions: bool = False

    def closed(self) -> ClosedCut:
        return ClosedCut(
            offset=self.offset,
            closed=CutClosed(
                cut=self.cut,
                source_time=self.source_time,
                count=self.count,
                digest=self.digest,
                epoch=self.epoch,
                distrusts_versions=self.distrusts_row_versions,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Manifest:
    """A base's manifest."""

    source: str
    log_id: Name
    cut: _Cut
    rows: Natural
    parts: tuple[BasePart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """A footer in a file's notation, without the checksum of everything before it."""

    end: Annotated[Offset, NATURAL]
    records: Natural
    last: _Cut | None


_FORMATS = frozenset({FORMAT})
_FILE_FORMATS = frozenset({FORMAT, MERGED_FORMAT})
_MANIFESTS, _HEADERS = Shape(_Manifest, HINT), Shape(Header, HINT, formats=_FILE_FORMATS)
_ENDS = Shape(_End, HINT, formats=None)


def history_name(log_id: str, start: Offset, end: Offset) -> str:
    """Return the name of the file with the records from one offset up to another, excluded."""
    span = f"{start:0{OFFSET_DIGITS}}-{end:0{OFFSET_DIGITS}}"
    return f"{HISTORY}/{log_id}/{span}.jsonl.zst"


def merged_name(log_id: str, start: Offset, end: Offset) -> str:
    """Return the name of the merged file with the files between two offsets."""
    span = f"{start:0{OFFSET_DIGITS}}-{end:0{OFFSET_DIGITS}}"
    return f"{HISTORY}/{log_id}/{MERGED}/{span}.jsonl.zst"


def is_merged(name: str) -> bool:
    """Return whether a name belongs to a merged file."""
    return name.split("/")[-2:-1] == [MERGED]


def base_folder(log_id: str, offset: Offset) -> str:
    """Return the folder of the base at the cut that was closed at an offset."""
    return f"{BASES}/{log_id}/{offset:0{OFFSET_DIGITS}}/"


def part_name(log_id: str, offset: Offset, start: Offset) -> str:
    """Return the name of a base's file by its first record."""
    return f"{base_folder(log_id, offset)}{start:0{OFFSET_DIGITS}}.jsonl.zst"


def manifest_name(log_id: str, offset: Offset) -> str:
    """Return the name of a base's manifest."""
    return f"{base_folder(log_id, offset)}manifest.json"


def history_span(name: str) -> tuple[Offset, Offset] | None:
    """Return the start and the end in a history file's name; None: it is not such a name."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    if found is None or not (start := int(found["start"])) <= (end := int(found["end"])) <= INT_MAX:
        return None
    return Offset(start), Offset(end)


def base_offset(name: str) -> Offset | None:
    """Return the offset in the name of a base's manifest; None: it is not such a name."""
    if not name.endswith("manifest.json"):
        return None  # as most of a long listing
    found = _MANIFEST.fullmatch("/".join(name.split("/")[-2:]))
    if found is None or (offset := int(found["offset"])) > INT_MAX:
        return None
    return Offset(offset)


def record_line(record: Record) -> bytes:
    """Return a record as a line, which contains its event byte for byte."""
    return b'{"offset":%d,"appended_at":"%s","event":%s}\n' % (
        record.offset,
        time_text(record.appended_at).encode(),
        record.data,
    )


def pack(
    header: Header, lines: Sequence[bytes], *, end: Offset, last: ClosedCut | None
) -> tuple[bytes, Footer]:
    """Return a file's bytes, and its footer."""
    body = b"".join([_line(_header_json(header)), *lines])
    found = _footer_json(end, len(lines), last)
    checksum = _checksum(body, found)
    footer = Footer(end=end, records=len(lines), last=last, sha256=checksum)
    data = cramjam.zstd.compress(body + _line({**found, "sha256": checksum}), level=LEVEL)
    return bytes(data), footer


def unpack(name: str, data: bytes, *, bytes_max: int = UNPACKED_BYTES_MAX) -> ArchiveFile:
    """Return a file's contents, unpacked to at most `bytes_max`.

    Raises:
        CorruptionError: it is truncated, altered, of a later format, or does not fit its name.
        TooLargeError: it unpacks to more.
    """
    return unpacked_lines(name, data, bytes_max=bytes_max)[1]


def unpacked_lines(
    name: str, data: bytes, *, bytes_max: int = UNPACKED_BYTES_MAX
) -> tuple[bytes, ArchiveFile]:
    """Return a file's lines, including header and footer, and its contents.

    Raises:
        CorruptionError, TooLargeError: as for `unpack`.
    """
    try:
        body = _decompressed(name, data, bytes_max)
        return body, _unpack(name, body)
    except (cramjam.DecompressionError, ValueError) as exc:
        raise CorruptionError(f"{name} cannot be read: {exc}", hint=HINT) from exc


def merge(bodies: Sequence[bytes]) -> tuple[str, bytes]:
    """Return name and bytes of the file that contains some files, each unchanged.

    Args:
        bodies: Lines of files that were written at once, in the order of their offsets.

    Raises:
        ValueError: a file does not follow the one before it.
    """
    files = [_unpack_plain(body) for body in bodies]
    whole = joined(files)
    found = _header_json(whole.header, MERGED_FORMAT)
    body = b"".join([_line(found), *bodies])
    lines = sum(one.count(b"\n") for one in bodies)
    end = _footer_json(whole.footer.end, lines, whole.footer.last)
    checksum = _checksum(body, end)
    data = cramjam.zstd.compress(body + _line({**end, "sha256": checksum}), level=MERGED_LEVEL)
    return merged_name(whole.header.log_id, whole.header.start, whole.footer.end), bytes(data)


def joined(files: Sequence[ArchiveFile]) -> ArchiveFile:
    """Return consecutive files as one file.

    Raises:
        ValueError: a file does not follow the one before it.
    """
    logs = {(one.header.kind, one.header.source, one.header.log_id) for one in files}
    _require(len(logs) == 1 and files[0].header.kind == HISTORY, "its files are not of one log")
    for before, file in pairwise(files):
        follows = file.header.start == before.footer.end
        _require(follows and file.header.previous == before.footer.sha256, "its chain is broken")
    end = files[-1].footer
    last = next((one.footer.last for one in reversed(files) if one.footer.last is not None), None)
    records = [record for file in files for record in file.records]
    footer = Footer(end=end.end, records=len(records), last=last, sha256=end.sha256)
    return ArchiveFile(header=files[0].header, records=records, footer=footer, merged=files)


def manifest(base: Base) -> bytes:
    """Return a base's manifest: JSON, with its own SHA-256 as the last member."""
    found = {
        "format": FORMAT,
        "source": base.source,
        "log_id": base.log_id,
        "cut": _cut_json(base.cut),
        "rows": base.rows,
        "parts": [
            {"start": part.start, "records": part.records, "sha256": part.sha256}
            for part in base.parts
        ],
    }
    return orjson.dumps({**found, "sha256": sha256(orjson.dumps(found)).hexdigest()})


def base_of(name: str, data: bytes) -> Base:
    """Return the base that a manifest describes.

    Raises:
        CorruptionError: it is truncated, altered, of a later format, or does not fit its name.
    """
    try:
        found = parsed(data, _FORMATS)
        given = found.pop("sha256", None)
        _require(given == sha256(orjson.dumps(found)).hexdigest(), "its checksum is another")
        base = _MANIFESTS.checked(found)
        cut = base.cut.closed()
        _require(manifest_name(base.log_id, cut.offset) == name, "it is that of another base")
    except ValueError as exc:
        raise _MANIFESTS.unreadable(name, exc) from exc
    return Base(source=base.source, log_id=base.log_id, cut=cut, rows=base.rows, parts=base.parts)


def _decompressed(name: str, data: bytes, bytes_max: int) -> bytes:
    """Unpack into a buffer that grows until it suffices: a frame's own size is not trusted."""
    room = min(bytes_max, ROOM_FIRST * len(data) + (1 << 16))
    while True:
        output = bytearray(room)
        try:
            size = cramjam.zstd.decompress_into(data, output)
        except cramjam.DecompressionError as exc:
            if not _is_full(exc):
                raise
            if room == bytes_max:
                raise TooLargeError(
                    f"{name} unpacks to more than {bytes_max} bytes, which is not read",
                    hint="we write no such file by default; if it is yours, raise"
                    " `history.file_bytes_max` of the target",
                ) from exc
            room, output = min(bytes_max, ROOM_GROWTH * room), bytearray()
        else:
            return bytes(memoryview(output)[:size])


def _is_full(exc: cramjam.DecompressionError) -> bool:
    return FULL in str(exc)


def _unpack(name: str, body: bytes) -> ArchiveFile:
    file = _unpack_merged(body) if _is_merged(body) else _unpack_plain(body)
    _require(name == _name_of(file), f"it is {_name_of(file)}")
    return file


def _is_merged(body: bytes) -> bool:
    return body.startswith(b'{"format":%d,' % MERGED_FORMAT)


def _unpack_plain(body: bytes) -> ArchiveFile:
    first, lines, footer = _split(body)
    header = _HEADERS.checked(parsed(first, _FORMATS))
    return ArchiveFile(header=header, records=_records(lines, header, footer), footer=footer)


def _unpack_merged(body: bytes) -> ArchiveFile:
    first, lines, footer = _split(body)
    header = _HEADERS.checked(parsed(first, _FILE_FORMATS))
    whole = joined([_unpack_plain(one) for one in _bodies(lines)])
    same = (footer.end, footer.last) == (whole.footer.end, whole.footer.last)
    _require(header == whole.header and same, "it is not what its files are")
    return whole


def _split(body: bytes) -> tuple[bytes, list[bytes], Footer]:
    """Return a file's first line, the lines between, and the footer, whose checksum is verified."""
    at = body.rfind(b"\n", 0, len(body) - 1) + 1
    _require(body.endswith(b"\n") and at > 0, "it is cut short")
    found = parsed(body[at:], None)
    given = found.pop("sha256", None)
    checksum = _checksum(memoryview(body)[:at], found)
    _require(checksum == given, "its checksum is another")
    footer = _footer(_ENDS.checked(found), checksum)
    count = body.count(b"\n", 0, at) - 1
    _require(count == footer.records, f"it has {count} records")
    _require(count * LINE_BYTES_MIN <= at, "its lines are no records")
    first, *lines = body[: at - 1].split(b"\n")
    return first, lines, footer


def _bodies(lines: Sequence[bytes]) -> list[bytes]:
    """Cut the lines between a merged file's header and footer into those of its files."""
    found, start = list[bytes](), 0
    for at, line in enumerate(lines, start=1):
        if line.startswith(_FOOTER):
            found.append(b"\n".join(lines[start:at]) + b"\n")
            start = at
    _require(bool(found) and start == len(lines), "the last file in it has no end")
    return found


def _name_of(file: ArchiveFile) -> str:
    header, footer = file.header, file.footer
    if file.merged:
        return merged_name(header.log_id, header.start, footer.end)
    if header.kind == HISTORY:
        return history_name(header.log_id, header.start, footer.end)
    return part_name(header.log_id, Offset(footer.end - 1), header.start)


def _records(lines: Sequence[bytes], header: Header, footer: Footer) -> list[Record]:
    times: dict[bytes, datetime] = {}
    records = [_record(line, times) for line in lines]
    if records:
        within = header.start <= records[0].offset and records[-1].offset < footer.end
        rising = all(one.offset < other.offset for one, other in pairwise(records))
        _require(within and rising, "its records are not in the order of its offsets")
    return records


def _record(line: bytes, times: dict[bytes, datetime]) -> Record:
    """Cut a line where `record_line` joined its parts; the event is not parsed."""
    at = line.index(_EVENT)
    data = line[at + len(_EVENT) : -1]
    offset, _, time = line[len(b'{"offset":') : at - 2].partition(b',"appended_at":"')
    if (appended_at := times.get(time)) is None:
        times[time] = appended_at = datetime.fromisoformat(time.decode())
        _require(appended_at.tzinfo is not None, "a record has a time without a zone")
        _require(FIRST_YEAR <= appended_at.year <= LAST_YEAR, _NO_YEAR)
    if (type_ := _TYPE.search(data)) is None:
        raise ValueError(f"the record at offset {int(offset)} has no type")
    return Record(Offset(int(offset)), appended_at, type_[1].decode(), data)


def _header_json(header: Header, format_: int = FORMAT) -> dict[str, Any]:
    return {
        "format": format_,
        "kind": header.kind,
        "source": header.source,
        "log_id": header.log_id,
        "start": header.start,
        "previous": header.previous,
    }


def _footer_json(end: Offset, records: int, last: ClosedCut | None) -> dict[str, Any]:
    return {"end": end, "records": records, "last": None if last is None else _cut_json(last)}


def _footer(found: _End, checksum: str) -> Footer:
    last = None if found.last is None else found.last.closed()
    return Footer(end=found.end, records=found.records, last=last, sha256=checksum)


def _checksum(body: bytes | memoryview, footer: Mapping[str, Any]) -> str:
    found = sha256(body)
    found.update(orjson.dumps(footer))
    return found.hexdigest()


def _cut_json(cut: ClosedCut) -> dict[str, Any]:
    closed = cut.closed
    distrust = {"distrusts_row_versions": True} if closed.distrusts_versions else {}
    return {
        "offset": cut.offset,
        "cut": closed.cut,
        "source_time": time_text(closed.source_time),
        "count": closed.count,
        "digest": hex_digest(closed.digest),
        "epoch": closed.epoch,
        **distrust,
    }


def _line(found: Mapping[str, Any]) -> bytes:
    return orjson.dumps(found) + b"\n"


def _require(holds: bool, what: str) -> None:  # noqa: FBT001 - an assertion with a message
    if not holds:
        raise ValueError(what)
