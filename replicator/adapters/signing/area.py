"""An area whose files are signed when they are written, and checked when they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from replicator.errors import ConfigError, CorruptionError
from replicator.model.operations.signature import END_BYTES_MAX, Signature, signed, split, statement
from replicator.ports import DOCUMENT_BYTES_MAX, Area

if TYPE_CHECKING:
    from replicator.model.observed.faults import FileUnsigned

UNSIGNED_HINT = (
    "if it is older than the key, read the store with `signing.unsigned: accept` and sign it once"
    " with `replicator target sign TARGET`; otherwise a stranger wrote it: take it from a copy"
)
FOREIGN_HINT = (
    "add the public half of that key to `signing.trusted_keys` if it is yours; otherwise a stranger"
    " wrote the file: take it from a copy of this store"
)
FORGED_HINT = (
    "the file was altered or renamed: take it from a copy of this store, or restore a point"
    " that does not need it (`replicator points` lists them)"
)


class Keys(Protocol):
    """The keys of one target."""

    @property
    def can_sign(self) -> bool:
        """Whether this machine has a private key."""
        ...

    @property
    def ids(self) -> frozenset[str]:
        """Ids of the trusted keys, this machine's own among them."""
        ...

    def sign(self, message: bytes) -> Signature:
        """Return the signature of a message; equal messages have equal ones."""
        ...

    def trusts(self, key_id: str) -> bool:
        """Return whether a key is this machine's own or a trusted one."""
        ...

    def is_valid(self, message: bytes, signature: Signature) -> bool:
        """Return whether a trusted key made the signature of this message."""
        ...


class Signatures:
    """The rule by which one target's files are signed and trusted.

    Args:
        keys: The target's keys.
        accept_unsigned: Whether a file without a signature is read, with a warning.
        warn: Receives the first unsigned file of each folder.
    """

    def __init__(
        self, keys: Keys, *, accept_unsigned: bool, warn: Callable[[FileUnsigned], None]
    ) -> None:
        self._keys, self._accept, self._warn = keys, accept_unsigned, warn
        self._warned: set[str] = set()

    def signed(self, name: str, data: bytes) -> bytes:
        """Return the bytes to write: signed if there is a private key."""
        if not self._keys.can_sign:
            return data
        return signed(name, data, self._keys.sign(statement(name, data)))

    @property
    def can_sign(self) -> bool:
        """Whether this machine has a private key."""
        return self._keys.can_sign

    @property
    def key_ids(self) -> frozenset[str]:
        """Ids of the keys whose signatures are believed."""
        return self._keys.ids

    def require_key(self) -> None:
        """Refuse to sign without a private key.

        Raises:
            ConfigError: the configuration names no private key.
        """
        if not self._keys.can_sign:
            raise ConfigError(
                "this machine has no key to sign with: it can only check signatures",
                hint="name a private key in `signing.key_env` or `signing.key_file`",
            )

    def believed(self, name: str, data: bytes, signature: Signature | None) -> None:
        """Refuse a file that no trusted key has signed.

        Raises:
            CorruptionError: the file is unsigned, signed by an unknown key, or altered.
        """
        if signature is None:
            self._unsigned(name)
        else:
            self.require_valid(name, data, signature)

    def require_valid(self, name: str, data: bytes, signature: Signature) -> None:
        """Refuse a file whose signature is not by a trusted key, or is that of another file.

        Raises:
            CorruptionError: the message names file and key.
        """
        key = signature.key_id
        if not self._keys.trusts(key):
            raise CorruptionError(
                f"{name} is signed by key {key}, which is not trusted", hint=FOREIGN_HINT
            )
        if not self._keys.is_valid(statement(name, data), signature):
            raise CorruptionError(f"{name} is not what key {key} signed", hint=FORGED_HINT)

    def reads_unsigned(self, name: str) -> bool:
        """Return whether unsigned files are read anyway; warn once for each folder."""
        if self._accept and (folder := name.partition("/")[0]) not in self._warned:
            from replicator.model.observed.faults import FileUnsigned  # noqa: PLC0415 - rare

            self._warned.add(folder)
            self._warn(FileUnsigned(name=name))
        return self._accept

    def _unsigned(self, name: str) -> None:
        if not self.reads_unsigned(name):
            raise CorruptionError(f"{name} is not signed", hint=UNSIGNED_HINT)


class SignedArea:
    """An `Area` over another one; `rule` None: signatures are removed unread.

    A machine without a private key writes unsigned files.
    """

    def __init__(self, area: Area, rule: Signatures | None) -> None:
        self._area, self._rule = area, rule

    async def names(self, prefix: str) -> Sequence[str]:
        return await self._area.names(prefix)

    async def get(self, name: str, *, bytes_max: int = DOCUMENT_BYTES_MAX) -> bytes:
        data, signature = await self._split(name, bytes_max)
        if self._rule is not None:
            self._rule.believed(name, data, signature)
        return data

    async def create(self, name: str, data: bytes) -> bool:
        return await self._area.create(name, self._signed(name, data))

    async def replace(self, name: str, data: bytes) -> None:
        await self._area.replace(name, self._signed(name, data))

    async def delete(self, name: str) -> None:
        await self._area.delete(name)

    async def extend(self, name: str, until: datetime) -> None:
        await self._area.extend(name, until)

    async def sign(self, name: str, *, bytes_max: int) -> bool:
        data, signature = await self._split(name, bytes_max)
        if self._rule is None:
            raise ConfigError(
                "the target has no keys", hint="set `signing` for it: docs/archive.md"
            )
        self._rule.require_key()
        if signature is not None:
            self._rule.require_valid(name, data, signature)
        wanted = self._rule.signed(name, data)
        if signature is not None and signed(name, data, signature) == wanted:
            return False
        await self._area.replace(name, wanted)
        return True

    def _signed(self, name: str, data: bytes) -> bytes:
        return data if self._rule is None else self._rule.signed(name, data)

    async def _split(self, name: str, bytes_max: int) -> tuple[bytes, Signature | None]:
        return split(name, await self._area.get(name, bytes_max=bytes_max + END_BYTES_MAX))
