"""Smile, Jackson's binary JSON: Druid keeps the users of basic security in it.

CoordinatorBasicAuthenticatorMetadataStorageUpdater uses the `@Smile` mapper, and no Python library
was found that reads the format. This reader accepts everything that Jackson's SmileGenerator
writes for objects, arrays, strings, bytes, integers up to 64 bits, booleans and nulls, including
shared names and strings; anything else is refused. The writer shares neither names nor strings.
Format: https://github.com/FasterXML/smile-format-specification
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from replicator.errors import MalformedRowError

Value: TypeAlias = Mapping[str, "Value"] | Sequence["Value"] | str | bytes | int | bool | None

HEADER = b":)\n"
SHARED_NAMES, SHARED_TEXTS, RAW_BYTES = 0x01, 0x02, 0x04
"""Flags in the header's last byte; the upper half is the version, 0."""
SHARED_MAX = 1024
SHARED_TEXT_BYTES_MAX = 64
END_OF_TEXT = 0xFC
NULL, FALSE, TRUE = 0x21, 0x22, 0x23
INT, LONG = 0x24, 0x25
ARRAY, END_OF_ARRAY, OBJECT, END_OF_OBJECT = 0xF8, 0xF9, 0xFA, 0xFB
LONG_ASCII, LONG_TEXT, BYTES_7BIT, BYTES = 0xE0, 0xE4, 0xE8, 0xFD
LONG_NAME, EMPTY = 0x34, 0x20
PLAIN: Mapping[int, Value] = {EMPTY: "", NULL: None, FALSE: False, TRUE: True}
DEPTH_MAX = 64
NUMBER_BITS_MAX = 64
BLOCK_BYTES, BLOCK_GROUPS = 7, 8
"""Seven bytes are written as eight groups of seven bits."""


def is_smile(data: bytes) -> bool:
    """Return whether these bytes begin with Smile's header."""
    return data.startswith(HEADER)


def loads(data: bytes) -> Value:
    """Return the value of a document.

    Raises:
        MalformedRowError: the document is not Smile, ends too early, or has an unsupported token.
    """
    if not is_smile(data) or len(data) < len(HEADER) + 1:
        raise MalformedRowError("its payload is not Smile")
    try:
        return _Reader(data).value(_Reader.token, 0)
    except (IndexError, OverflowError, UnicodeDecodeError) as exc:
        raise MalformedRowError(f"its payload is damaged Smile: {exc}") from exc


def dumps(value: Value) -> bytes:
    """Return a document without shared names, and with raw bytes."""
    out = bytearray(HEADER)
    out.append(RAW_BYTES)
    _write(out, value)
    return bytes(out)


class _Reader:
    """Reads one document from its beginning to its end."""

    token = -1
    """Placeholder for the next byte."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, len(HEADER) + 1
        flags = data[len(HEADER)]
        self._shares_names = bool(flags & SHARED_NAMES)
        self._shares_texts = bool(flags & SHARED_TEXTS)
        self._names: list[str] = []
        self._texts: list[str] = []
        self._by_token: Mapping[int, Callable[[int], Value]] = {
            INT: self._integer,
            LONG: self._integer,
            BYTES_7BIT: self._bytes_7bit,
            BYTES: self._bytes,
            ARRAY: self._array,
            OBJECT: self._object,
        }

    def value(self, token: int, depth: int) -> Value:
        """Return the value that starts with a token."""
        if token == self.token:
            token = self._byte()
        if depth > DEPTH_MAX:
            raise MalformedRowError("its payload is nested too deeply")
        if token in PLAIN:
            return PLAIN[token]
        read = self._by_token.get(token)
        return self._short(token) if read is None else read(depth)

    def _short(self, token: int) -> Value:
        if 0xC0 <= token <= 0xDF:  # noqa: PLR2004 - the format's
            return _unzigzag(token & 0x1F)
        return self._text(token)

    def _text(self, token: int) -> str:
        if 0x01 <= token <= 0x1F:  # noqa: PLR2004 - the format's
            return self._texts[token - 1]
        if 0xEC <= token <= 0xEF:  # noqa: PLR2004 - the format's
            return self._texts[(token & 0x03) << 8 | self._byte()]
        if token in {LONG_ASCII, LONG_TEXT}:
            return self._until_end()
        if 0x40 <= token <= 0x7F:  # noqa: PLR2004 - ASCII of 1 to 64 bytes
            return self._shared_text(token - 0x3F)
        if 0x80 <= token <= 0xBF:  # noqa: PLR2004 - UTF-8 of 2 to 65 bytes
            return self._shared_text(token - 0x7E)
        raise MalformedRowError(f"its payload has Smile's token {token:#04x}, which is not read")

    def _shared_text(self, size: int) -> str:
        found = self._taken(size).decode()
        if self._shares_texts and size <= SHARED_TEXT_BYTES_MAX:
            _share(self._texts, found)
        return found

    def _array(self, depth: int) -> list[Value]:
        found: list[Value] = []
        while (token := self._byte()) != END_OF_ARRAY:
            found.append(self.value(token, depth + 1))
        return found

    def _object(self, depth: int) -> dict[str, Value]:
        found: dict[str, Value] = {}
        while (token := self._byte()) != END_OF_OBJECT:
            name = self._name(token)
            found[name] = self.value(self.token, depth + 1)
        return found

    def _name(self, token: int) -> str:
        if token == EMPTY:
            return ""
        if 0x30 <= token <= 0x33:  # noqa: PLR2004 - a name before, of up to 1024
            return self._names[(token & 0x03) << 8 | self._byte()]
        if token == LONG_NAME:
            return self._until_end()
        if 0x40 <= token <= 0x7F:  # noqa: PLR2004 - one of the first 64
            return self._names[token - 0x40]
        if 0x80 <= token <= 0xBF:  # noqa: PLR2004 - ASCII of 1 to 64 bytes
            return self._shared_name(token - 0x7F)
        if 0xC0 <= token <= 0xF7:  # noqa: PLR2004 - UTF-8 of 2 to 57 bytes
            return self._shared_name(token - 0xBE)
        raise MalformedRowError(f"its payload has no name at byte {self._at}")

    def _shared_name(self, size: int) -> str:
        found = self._taken(size).decode()
        if self._shares_names:
            _share(self._names, found)
        return found

    def _until_end(self) -> str:
        end = self._data.find(bytes([END_OF_TEXT]), self._at)
        if end < 0:
            raise MalformedRowError("its payload is Smile that was cut short")
        found = self._data[self._at : end].decode()
        self._at = end + 1
        return found

    def _integer(self, _: int) -> int:
        return _unzigzag(self._number())

    def _bytes(self, _: int) -> bytes:
        return self._taken(self._number())

    def _bytes_7bit(self, _: int) -> bytes:
        """Return bytes that are written in groups of seven bits, the last group in its low bits."""
        size = self._number()
        packed = self._taken(-(-size * 8 // 7))
        whole = size // BLOCK_BYTES * BLOCK_GROUPS
        blocks = [
            _of_groups(packed[at : at + BLOCK_GROUPS], BLOCK_BYTES)
            for at in range(0, whole, BLOCK_GROUPS)
        ]
        return b"".join([*blocks, _of_groups(packed[whole:], size % BLOCK_BYTES)])

    def _number(self) -> int:
        """Return an unsigned number: seven bits a byte, six in the last, whose top bit is set."""
        found = 0
        while not (byte := self._byte()) & 0x80:
            found = found << 7 | byte
            if found.bit_length() > NUMBER_BITS_MAX:
                raise MalformedRowError("its payload has a Smile number of more than 64 bits")
        return found << 6 | byte & 0x3F

    def _byte(self) -> int:
        found = self._data[self._at]
        self._at += 1
        return found

    def _taken(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if len(found) < size:
            raise MalformedRowError("its payload is Smile that was cut short")
        self._at += size
        return found


def _of_groups(packed: bytes, size: int) -> bytes:
    """Return `size` bytes from groups of seven bits, of which the last has the remaining bits."""
    bits = 0
    for byte in packed[:-1]:
        bits = bits << 7 | byte
    if packed:
        bits = bits << size * 8 - 7 * (len(packed) - 1) | packed[-1]
    return bits.to_bytes(size)


def _share(seen: list[str], text: str) -> None:
    """Add a text to the shared ones as the writer does, which starts anew when they are full."""
    if len(seen) == SHARED_MAX:
        seen.clear()
    seen.append(text)


def _unzigzag(number: int) -> int:
    return number >> 1 ^ -(number & 1)


def _write(out: bytearray, value: Value) -> None:
    match value:
        case None | bool():
            out.append({None: NULL, False: FALSE, True: TRUE}[value])
        case int():
            out.append(INT if -(1 << 31) <= value < 1 << 31 else LONG)
            _write_number(out, value << 1 ^ value >> 63)
        case str():
            _write_text(out, value)
        case bytes():
            out.append(BYTES)
            _write_number(out, len(value))
            out += value
        case Mapping():
            _write_object(out, value)
        case _:
            out.append(ARRAY)
            for item in value:
                _write(out, item)
            out.append(END_OF_ARRAY)


def _write_object(out: bytearray, value: Mapping[str, Value]) -> None:
    out.append(OBJECT)
    for name, member in value.items():
        _write_name(out, name)
        _write(out, member)
    out.append(END_OF_OBJECT)


def _write_text(out: bytearray, text: str) -> None:
    if not text:
        out.append(EMPTY)
        return
    out.append(LONG_ASCII if text.isascii() else LONG_TEXT)
    out += text.encode()
    out.append(END_OF_TEXT)


def _write_name(out: bytearray, name: str) -> None:
    """Write a name, in its short form if it has one, as Jackson's parser expects."""
    data = name.encode()
    if not data:
        out.append(EMPTY)
    elif name.isascii() and len(data) <= 64:  # noqa: PLR2004 - the format's
        out.append(0x7F + len(data))
        out += data
    elif not name.isascii() and len(data) <= 57:  # noqa: PLR2004 - the format's
        out.append(0xBE + len(data))
        out += data
    else:
        out.append(LONG_NAME)
        out += data
        out.append(END_OF_TEXT)


def _write_number(out: bytearray, number: int) -> None:
    parts = [number & 0x3F | 0x80]
    number >>= 6
    while number:
        parts.append(number & 0x7F)
        number >>= 7
    out += bytes(reversed(parts))


def as_object(value: Value) -> dict[str, Any]:
    """Return a value as an object.

    Raises:
        MalformedRowError: the value is not an object.
    """
    if not isinstance(value, dict):
        raise MalformedRowError("its payload is not an object")
    return value
