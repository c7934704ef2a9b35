r"""Signatures of a store's files: their position in a file, and what they cover.

The signature is the end of its file, so one request writes both, and no crash leaves one without
the other. Other programs read the file as before: zstd skips a skippable frame (RFC 8878, 3.1.2),
and `jq` shows the signature as a second object.

    <document>\n{"signed_by":"<key id>","ed25519":"<base64>"}\n          documents (.json)
    <file><frame: magic, length, {"signed_by":…}>                       all other files

A signature covers the file's name below `_replicator/` and its contents: a file that is renamed, or
replaced by another one, has no valid signature.
"""

import re
import struct
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

PURPOSE: Final = b"druid-replicator signed file 1\n"
"""Start of the signed bytes: the key may sign other things elsewhere."""
KEY_ID_DIGITS: Final = 16
SIGNATURE_BYTES: Final = 64
"""Length of an Ed25519 signature (RFC 8032)."""
MAGIC: Final = 0x184D2A5E
"""Number of the skippable frame, one of sixteen that zstd leaves to its users."""
_NOTE = rb'\{"signed_by":"(?P<key>[0-9a-f]{16})","ed25519":"(?P<value>[A-Za-z0-9+/]{86}==)"\}'
_TEXT_END = re.compile(rb"\n" + _NOTE + rb"\n\Z")
_FRAME_END = re.compile(_NOTE + rb"\Z")
_FRAME_HEAD = struct.Struct("<II")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature of one file."""

    key_id: str
    """Id of the signing key: `key_id_of` of its public half."""
    value: bytes

    def note(self) -> bytes:
        """Return the signature as a JSON object of fixed length."""
        value = b64encode(self.value)
        return b'{"signed_by":"%s","ed25519":"%s"}' % (self.key_id.encode(), value)


NOTE_BYTES: Final = len(Signature(key_id="0" * KEY_ID_DIGITS, value=bytes(SIGNATURE_BYTES)).note())
END_BYTES_MAX: Final = NOTE_BYTES + _FRAME_HEAD.size
"""Largest number of bytes that a signature adds to a file."""


def key_id_of(public: bytes) -> str:
    """Return a key's name in signatures: the start of its public half's SHA-256."""
    return sha256(public).hexdigest()[:KEY_ID_DIGITS]


def statement(name: str, data: bytes) -> bytes:
    """Return the bytes that a file's signature covers.

    Args:
        name: Name of the file below `_replicator/`.
        data: Contents of the file without a signature.
    """
    return PURPOSE + name.encode() + b"\n" + sha256(data).digest()


def signed(name: str, data: bytes, signature: Signature) -> bytes:
    """Return a file with its signature."""
    note = signature.note()
    if _is_document(name):
        return b"%s\n%s\n" % (data, note)
    return data + _FRAME_HEAD.pack(MAGIC, len(note)) + note


def split(name: str, data: bytes) -> tuple[bytes, Signature | None]:
    """Return a file's contents and its signature; None: it has none."""
    if _is_document(name):
        found, size = _TEXT_END.search(data, max(0, len(data) - NOTE_BYTES - 2)), NOTE_BYTES + 2
    else:
        found, size = _FRAME_END.search(data, max(0, len(data) - NOTE_BYTES)), END_BYTES_MAX
        head = data[-END_BYTES_MAX:-NOTE_BYTES]
        if head != _FRAME_HEAD.pack(MAGIC, NOTE_BYTES):
            found = None
    if found is None:
        return data, None
    signature = Signature(key_id=found["key"].decode(), value=b64decode(found["value"]))
    return data[:-size], signature


def _is_document(name: str) -> bool:
    return name.endswith(".json")
