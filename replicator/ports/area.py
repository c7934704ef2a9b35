"""The replicator's own files at a target."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from replicator.errors import RefusedError, TooLargeError
from replicator.model.document import LIST_FACTOR, refuse_many_values

DOCUMENT_BYTES_MAX = 1 << 20
"""Limit for a document's bytes; most take kilobytes, and there are hundreds of them."""
MANIFEST_BYTES_MAX = 16 << 20
"""Limit for a base's manifest; one of a hundred thousand files takes 12 MB."""
LIST_BYTES_MAX = 128 << 20
"""Limit for bytes of a list of gaps: half a million of them. Reading it takes ten times as much
memory at worst, since one character beyond the first 65,536 quadruples a text."""
PLACES_BYTES_MAX = 256 << 20
"""Limit for bytes of the locations of an expiry: sixteen million of them."""


def require_readable(name: str, data: bytes, bytes_max: int, *, hint: str) -> None:
    """Refuse to write a file that would not be read again.

    Raises:
        RefusedError: it is larger than `bytes_max`.
    """
    if len(data) > bytes_max:
        raise RefusedError(
            f"{name} would have {len(data)} bytes, more than the {bytes_max} that are read;"
            " nothing was written",
            hint=hint,
        )


def require_readable_list(name: str, data: bytes, *, hint: str) -> None:
    """Refuse to write a document with a list of gaps that would not be read again.

    Raises:
        RefusedError: it is larger than `LIST_BYTES_MAX`, or has too many values.
    """
    require_readable(name, data, LIST_BYTES_MAX, hint=hint)
    try:
        refuse_many_values(data, factor=LIST_FACTOR)
    except ValueError as exc:
        raise RefusedError(
            f"{name} would not be read again: {exc}; nothing was written", hint=hint
        ) from exc


def too_large(name: str, size_bytes: int, bytes_max: int) -> TooLargeError:
    """Return the error for a file that is not read because of its size."""
    return TooLargeError(
        f"{name} has {size_bytes} bytes, more than the {bytes_max} that such a file can have",
        hint="we did not write it so: take it from a copy of this store, or remove it",
    )


class Area(Protocol):
    """The replicator's small files beside a target's bytes, in `_replicator/` below its root.

    Names are relative, with `/` between their parts. Every call raises TransientError when the
    storage cannot be reached, and ConfigError when it denies access.
    """

    async def names(self, prefix: str) -> Sequence[str]:
        """Return the names of all files that start with `prefix`, sorted."""
        ...

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        """Return a file's bytes, all of them in memory.

        Raises:
            NotFoundError: there is no such file.
            TooLargeError: the file is larger than `bytes_max` and was not read.
            CorruptionError: it is not a file.
        """
        ...

    async def create(self, name: str, data: bytes) -> bool:
        """Store a file whole and durably; return False, and change nothing, if the name exists.

        If two processes create the same name at once, one of them gets True.
        """
        ...

    async def replace(self, name: str, data: bytes) -> None:
        """Store a file whole and durably, whatever was there."""
        ...

    async def delete(self, name: str) -> None:
        """Delete a file; a missing one is no error."""
        ...

    async def extend(self, name: str, until: datetime) -> None:
        """Protect a file from deletion until a time, as `SegmentRemover.extend` does.

        Raises:
            NotFoundError: there is no such file, and the storage has locks.
        """
        ...


class SignableArea(Area, Protocol):
    """An area whose files carry signatures."""

    async def sign(self, name: str, *, bytes_max: int) -> bool:
        """Sign a file as it is; return False if it has this machine's signature already.

        Raises:
            NotFoundError: there is no such file.
            CorruptionError: it has a signature that is not valid, or not by a trusted key; or more
                than `bytes_max` bytes.
            ConfigError: this machine has no private key for the target.
        """
        ...
