"""Containers as Druid 37 writes them to HDFS with `druid.storage.compressionFormat=lz4`.

Their blocks are raw, which lz4-java writes where packing would not pay; what its own classes packed
is in tests/data/lz4.
"""

import struct
from collections.abc import Mapping

import xxhash

END = struct.pack("<8sBIII", b"LZ4Block", 0x16, 0, 0, 0)


def block(data: bytes) -> bytes:
    """Return a block as it is, of at most 64 KiB."""
    checksum = xxhash.xxh32_intdigest(data, 0x9747B28C) & 0x0FFFFFFF
    return struct.pack("<8sBIII", b"LZ4Block", 0x16, len(data), len(data), checksum) + data


def container(
    files: Mapping[bytes, bytes], *, count: int | None = None, block_bytes: int = 1 << 16
) -> bytes:
    """Return a container of some files, which may say another number of them."""
    data = struct.pack(">i", len(files) if count is None else count)
    for name, content in files.items():
        data += struct.pack(">i", len(name)) + name + struct.pack(">q", len(content)) + content
    parts = (data[at : at + block_bytes] for at in range(0, len(data), block_bytes))
    return b"".join(map(block, parts)) + END
