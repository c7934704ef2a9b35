"""Seals: a signed store's claims about the bytes at its locations.

A receipt is trusted because it is stored beside the bytes; an attacker who can write to the store
can write both. A seal is a signed file with the digest of the receipt's contents:

    seals/<2 digits>/<SHA-256 of the location>.json
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Final

from replicator.errors import CorruptionError
from replicator.model.document import HEXADECIMAL, Shape, written
from replicator.model.fingerprint import Digest, hex_digest
from replicator.model.load_spec import Location

SEALS: Final = "seals"
_FOLDER_DIGITS = 2
_BREAK = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Control characters and line breaks: they could make one name look like several lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """The digest of the bytes stored at a location."""

    location: str
    sha256: Annotated[Digest, HEXADECIMAL]
    """`digest_of` the objects, and of the files packed into them."""


_SEAL = Shape(
    Seal,
    "if the bytes are right (`replicator verify TARGET --level checksum` without"
    " `signing`), remove the"
    " seal and seal the location again with `replicator target sign TARGET`",
)


def seal_name(location: Location) -> str:
    """Return the name of a location's seal."""
    name = sha256(location.encode()).hexdigest()
    return f"{SEALS}/{name[:_FOLDER_DIGITS]}/{name}.json"


def seal_folders() -> Iterator[str]:
    """Yield the prefixes of seals' names, each for one in 256 of them."""
    for number in range(16**_FOLDER_DIGITS):
        yield f"{SEALS}/{number:0{_FOLDER_DIGITS}x}/"


def digest_of(files: Iterable[tuple[str, int, str]]) -> Digest:
    """Return the digest of files: SHA-256 over a line `<SHA-256> <size> <name>` for each.

    Args:
        files: Name, size in bytes and SHA-256 of each file, in the receipt's order.

    Raises:
        CorruptionError: other files than these would have the same digest.
    """
    digest = sha256()
    for name, size_bytes, checksum in files:
        if _BREAK.search(name + checksum) or " " in checksum:
            raise CorruptionError(
                f"the file {name!r}, SHA-256 {checksum!r}, cannot be sealed: a control character or"
                " a line break makes it look like other files",
                hint="Druid names no file so: compare the location with its source",
            )
        digest.update(f"{checksum} {size_bytes} {name}\n".encode())
    return Digest(int.from_bytes(digest.digest()))


def seal_json(seal: Seal) -> bytes:
    """Return a seal as a document."""
    return written({"location": seal.location, "sha256": hex_digest(seal.sha256)})


def seal_of(name: str, data: bytes) -> Seal:
    """Return the seal in a file.

    Raises:
        CorruptionError: it cannot be read, or belongs to another location.
    """
    seal = _SEAL.read(name, data)
    if seal_name(Location(seal.location)) != name:
        raise _SEAL.unreadable(name, f"it is that of {seal.location!r}")
    return seal
